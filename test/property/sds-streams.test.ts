import { test } from "node:test"
import fc from "fast-check"
import { SdsMesh, type SdsStep } from "../support/sds-model/mesh.ts"
import { type Change, NAMES } from "../support/sds-model/world.ts"

const proxy = fc.nat({ max: 40 })
const names = fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 4 })
const change = fc.constantFrom<Change>(
  "renew",
  "renew",
  "root",
  "root-and-renew",
  "root-and-renew",
  "partner",
  "second",
  "deny",
  "wait",
  "back",
)

const step: fc.Arbitrary<SdsStep> = fc.oneof(
  { weight: 3, arbitrary: open() },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("ask" as const), proxy, names }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("ask-again" as const), proxy, name: fc.constantFrom(...NAMES) }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("answer" as const), proxy, which: proxy, refused: rarely() }) },
  { weight: 3, arbitrary: fc.constantFrom({ kind: "answer-all" as const }, { kind: "pass-time" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("stale" as const, "block" as const, "free" as const), proxy }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("cancel" as const, "half-close" as const), proxy }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("change" as const), change }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("rest" as const), turns: fc.nat({ max: 3 }) }) },
)

function open(): fc.Arbitrary<SdsStep> {
  return fc.record({ kind: fc.constant("open" as const), sotw: fc.boolean(), consumer: fc.nat({ max: 2 }), names })
}

function rarely(): fc.Arbitrary<boolean> {
  return fc.integer({ min: 0, max: 5 }).map((n) => n === 0)
}

async function walk(path: readonly SdsStep[]): Promise<void> {
  await using mesh = new SdsMesh()
  for (const one of path) await mesh.take(one)
  await mesh.settle()
}

test("streams of few proxies, whatever they ask and answer, get each secret once, in order, and in the end what there is", async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), walk), { seed: 1, numRuns: 300 })
})

test("so do streams of many proxies, to which a change goes in parts", async () => {
  const crowd = fc.array(open(), { minLength: 18, maxLength: 40, size: "max" })
  await fc.assert(
    fc.asyncProperty(crowd, fc.array(step, { maxLength: 60, size: "max" }), (first, path) => walk([...first, ...path])),
    { seed: 1, numRuns: 60 },
  )
})
