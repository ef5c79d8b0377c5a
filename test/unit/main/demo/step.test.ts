import assert from "node:assert/strict"
import { test } from "node:test"
import { IdentityError } from "../../../../src/core/errors.ts"
import { reportEnd, reportJson, reportStep } from "../../../../src/main/demo/report.ts"
import { runSteps, type Step, type StepResult } from "../../../../src/main/demo/step.ts"
import type { World } from "../../../../src/main/demo/world.ts"

const NEVER = new AbortController().signal

test("a step that fails does not keep the later ones from running", async () => {
  const results = await run([
    step("one", () => ["1 ms"]),
    step("two", () => Promise.reject(new Error("no"))),
    step("three"),
  ])
  assert.deepEqual(
    results.map(({ name, ok, facts }) => ({ name, ok, facts })),
    [
      { name: "one", ok: true, facts: ["1 ms"] },
      { name: "two", ok: false, facts: ["no"] },
      { name: "three", ok: true, facts: [] },
    ],
  )
})

test("a step that does not end within its time fails", async () => {
  const forever = step(
    "slow",
    (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  )
  const [slow, next] = await run([forever, step("next")], { within: 20 })
  assert.equal(slow?.ok, false)
  assert.match(slow.facts.join(), /timeout/)
  assert.equal(next?.ok, true)
})

test("after a stop the remaining steps fail without running", async () => {
  let ran = false
  const stop = AbortSignal.abort(new Error("stopped by SIGINT"))
  const notice = (): readonly string[] => {
    ran = true
    return []
  }
  const [only] = await run([step("one", notice)], { stop })
  assert.equal(ran, false)
  assert.deepEqual(only?.facts, ["stopped by SIGINT"])
})

test("a failure names its causes, and says nothing twice", async () => {
  const cause = new Error("14 UNAVAILABLE: nothing yet")
  const error = new Error("the stream has failed", { cause: new IdentityError("not-ready", "nothing yet", { cause }) })
  const [only] = await run([step("one", () => Promise.reject(error))])
  assert.deepEqual(only?.facts, ["the stream has failed: 14 UNAVAILABLE: nothing yet"])
})

test("every result is told as it comes", async () => {
  const told: string[] = []
  await run([step("one"), step("two")], { onResult: ({ name }) => told.push(name) })
  assert.deepEqual(told, ["one", "two"])
})

test("the JSON report is one object on one line, with the facts of a step as its detail", () => {
  const text = reportJson([
    result({ name: "one", facts: ["a", "b"] }),
    result({ name: "two", ok: false, facts: ["why"] }),
  ])
  assert.equal(text.indexOf("\n"), text.length - 1)
  assert.deepEqual(JSON.parse(text), {
    steps: [
      { name: "one", ok: true, ms: 7, detail: "a; b" },
      { name: "two", ok: false, ms: 7, detail: "why" },
    ],
  })
})

test("the report for people tells failed steps from good ones, and names them at the end", () => {
  assert.match(reportStep(result({ name: "one", facts: ["a"] })), /^ok +one: shows \(7 ms\)\n +a\n$/)
  assert.match(reportStep(result({ name: "two", ok: false })), /^FAILED +two: /)
  const end = reportEnd([result({ name: "one" }), result({ name: "two", ok: false })], 1500)
  assert.equal(end, "failed: two, in 1.5 s\n")
  assert.equal(reportEnd([result({ name: "one" })], 1500), "all 1 steps ok, in 1.5 s\n")
})

function step(
  name: string,
  run: (signal: AbortSignal) => readonly string[] | Promise<readonly string[]> = () => [],
): Step {
  return { name, shows: "shows", run: async (_world, signal) => run(signal) }
}

function result(fields: Partial<StepResult>): StepResult {
  return { name: "step", shows: "shows", ok: true, ms: 7, facts: [], ...fields }
}

function run(
  steps: readonly Step[],
  options: Partial<Parameters<typeof runSteps>[2]> = {},
): Promise<readonly StepResult[]> {
  return runSteps(steps, NOTHING, { within: 10_000, stop: NEVER, onResult: () => {}, ...options })
}

const refuse = (): never => {
  throw new Error("these steps need no world")
}
const NOTHING: World = {
  folder: "",
  server: refuse,
  agent: refuse,
  startAgent: refuse,
  service: refuse,
  envoys: refuse,
  [Symbol.asyncDispose]: () => Promise.resolve(),
}
