import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { type Fate, LineageModel, type ModelAgent, restart } from "../support/lineage-model.ts"
import { refusal } from "../support/refusal.ts"

type Step =
  | { readonly kind: "ask"; readonly agent: number; readonly fate: Fate }
  | { readonly kind: "restart"; readonly agent: number }
  | { readonly kind: "back-up" }
  | { readonly kind: "restore" }

const fate = fc.constantFrom<Fate>("answered", "answered", "lost", "failed")

/** More agents than a pod can have lineages. */
function steps(agents: number): fc.Arbitrary<Step[]> {
  const agent = fc.nat({ max: agents - 1 })
  return fc.array(
    fc.oneof(
      { weight: 12, arbitrary: fc.record({ kind: fc.constant("ask" as const), agent, fate }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("restart" as const), agent }) },
      { weight: 1, arbitrary: fc.constantFrom({ kind: "back-up" as const }, { kind: "restore" as const }) },
    ),
    { maxLength: 80 },
  )
}

async function walk(model: LineageModel, agents: readonly ModelAgent[], path: readonly Step[]): Promise<void> {
  for (const step of path) {
    if (step.kind === "back-up") model.backUp()
    else if (step.kind === "restore") await model.restore()
    else if (step.kind === "restart") restart(agents[step.agent] ?? assert.fail("no such agent"))
    else await model.ask(agents[step.agent] ?? assert.fail("no such agent"), step.fate)
  }
}

for (const [name, count, isSole] of [
  ["eleven agents of a pod", 11, false],
  ["the one agent of a pod", 1, true],
] as const) {
  test(`${name}, with answers lost, restarts and restored stores, is never refused`, async () => {
    await fc.assert(
      fc.asyncProperty(steps(count), async (path) => {
        const model = new LineageModel(isSole)
        await walk(model, newAgents(count), path)
        assert.equal(model.incidents, 0)
      }),
      { numRuns: 150 },
    )
  })
}

test("of an agent and its copy only one is given anything before the incident, and nobody after it", async () => {
  const turns = fc.array(fc.record({ copy: fc.boolean(), fate }), { minLength: 12, maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(steps(3), turns, async (path, after) => {
      const model = new LineageModel(false)
      const agents = newAgents(3)
      await walk(model, agents, path)
      const original = agents[0] ?? assert.fail()
      // What is under way is finished first: a copy of a key that was asked for is found out one renewal later.
      for (let i = 0; i < 2; i++) await model.ask(original, "answered")
      const copy = { ...original }
      const given = new Set<ModelAgent>()
      for (const turn of after) {
        const agent = turn.copy ? copy : original
        try {
          await model.ask(agent, turn.fate)
          if (turn.fate !== "failed") given.add(agent)
        } catch (error) {
          assert.ok(refusal("policy-denied", "lineage-violated")(error))
          assert.equal(given.size, 1)
          assert.equal(model.incidents, 1)
          for (const one of agents)
            await assert.rejects(model.ask(one, "answered"), refusal("policy-denied", "lineage-frozen"))
          return
        }
        assert.ok(given.size <= 1)
      }
    }),
    { numRuns: 300 },
  )
})

function newAgents(count: number): readonly ModelAgent[] {
  return Array.from({ length: count }, () => ({ held: undefined, key: undefined }))
}
