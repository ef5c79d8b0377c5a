import { deepEqual, equal, rejects } from "node:assert/strict"
import { test } from "node:test"
import { makeBoundedGate } from "../../../../src/app/attest/bounded-gate.ts"

const NEVER = new AbortController().signal

test("tasks beyond the limit wait in order, and the one who leaves lets the next in", async () => {
  const gate = makeBoundedGate(1, 2)
  const started: number[] = []
  const ends = [1, 2, 3].map(() => Promise.withResolvers<void>())
  const runs = ends.map(({ promise }, i) =>
    gate.run(() => {
      started.push(i)
      return promise
    }, NEVER),
  )
  await Promise.resolve()
  deepEqual(started, [0])
  await rejects(
    gate.run(async () => {}, NEVER),
    { code: "attestor-down", reason: "attestation-busy" },
  )
  ends[0]?.resolve()
  await runs[0]
  await new Promise((resolve) => setImmediate(resolve))
  deepEqual(started, [0, 1])
  for (const end of ends) end.resolve()
  await Promise.all(runs)
  deepEqual(started, [0, 1, 2])
})

test("a waiter that gives up frees its place in the queue and takes no turn", async () => {
  const gate = makeBoundedGate(1, 1)
  const end = Promise.withResolvers<void>()
  const first = gate.run(() => end.promise, NEVER)
  const hasty = new AbortController()
  const second = gate.run(async () => "second", hasty.signal)
  hasty.abort()
  await rejects(second, { name: "AbortError" })
  const third = gate.run(async () => "third", NEVER)
  end.resolve()
  await first
  equal(await third, "third")
  equal(await gate.run(async () => "fourth", NEVER), "fourth")
})

for (let depth = 0; depth < 8; depth++) {
  test(`a waiter that gives up ${depth} turns of the loop after the end of the task before it costs no place`, async () => {
    const gate = makeBoundedGate(1, 2)
    const end = Promise.withResolvers<void>()
    const hasty = new AbortController()
    const first = gate.run(() => end.promise, NEVER)
    const second = gate.run(async () => "second", hasty.signal).catch(() => "gave up")
    end.resolve()
    for (let i = 0; i < depth; i++) await Promise.resolve()
    hasty.abort()
    await Promise.all([first, second])
    equal(await gate.run(async () => "third", AbortSignal.timeout(5000)), "third")
  })
}

test("a task that fails leaves the gate open", async () => {
  const gate = makeBoundedGate(1, 0)
  await rejects(
    gate.run(() => Promise.reject(new Error("no")), NEVER),
    /no/,
  )
  equal(await gate.run(async () => 1, NEVER), 1)
  await rejects(
    gate.run(async () => 1, AbortSignal.abort()),
    { name: "AbortError" },
  )
  equal(await gate.run(async () => 2, NEVER), 2)
})
