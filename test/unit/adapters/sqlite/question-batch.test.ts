import assert from "node:assert/strict"
import { test } from "node:test"
import { QuestionBatch } from "../../../../src/adapters/sqlite/question-batch.ts"

test("[STO-39] a thousand questions that come while one is out are four, and each gets its own answer", async () => {
  const asked: number[] = []
  const batch = new QuestionBatch<number, number>(async (questions) => {
    asked.push(questions.length)
    return questions.map((question) => question * 2)
  })
  const numbers = Array.from({ length: 1001 }, (_, i) => i)
  const answers = await Promise.all(numbers.map((number) => batch.put(number)))
  assert.deepEqual(
    answers,
    numbers.map((number) => number * 2),
  )
  assert.deepEqual(asked, [1, 256, 256, 256, 232])
  assert.equal(await batch.put(7), 14)
})

test("a failure is that of all who were asked about together, and of nobody who comes later", async () => {
  let fails = true
  const batch = new QuestionBatch<number, number>(async (questions) => {
    if (fails) throw new Error("no thread")
    return questions
  })
  const failed = await Promise.allSettled([batch.put(1), batch.put(2)])
  assert.deepEqual(
    failed.map(({ status }) => status),
    ["rejected", "rejected"],
  )
  fails = false
  assert.equal(await batch.put(3), 3)
})

test("when 8192 questions wait, the next is refused with a hint", async () => {
  const open = Promise.withResolvers<void>()
  const batch = new QuestionBatch<number, number>(async (questions) => {
    await open.promise
    return questions
  })
  const crowd = Promise.all(Array.from({ length: 8193 }, (_, i) => batch.put(i)))
  await assert.rejects(batch.put(0), { code: "rate-limited", retryAfter: 1 })
  open.resolve()
  assert.equal((await crowd).length, 8193)
})
