import assert from "node:assert/strict"
import { test } from "node:test"
import { rememberDecisions } from "../../../../src/app/issue/remembered-decisions.ts"
import type { Decision } from "../../../../src/core/policy/grant.ts"
import { attestedCaller } from "../../../support/attested-caller.ts"
import { rule, table } from "../../../support/rule-table.ts"

test("a caller is decided on once for each table of rules, and by a new one from its next request on", () => {
  const old = table([rule({ name: "old", spiffeId: "/old" })])
  let rules = old
  const decide = rememberDecisions(() => rules)
  const [caller, other] = [attestedCaller(), attestedCaller({ namespace: "other" })]
  assert.equal(decide(caller), decide(caller))
  assert.notEqual(decide(caller), decide(other))
  rules = table([rule({ name: "new", spiffeId: "/new" })])
  assert.deepEqual(idsOf(decide(caller)), ["spiffe://prod.example/new"])
  rules = table([])
  assert.deepEqual(idsOf(decide(caller)), [])
  rules = old
  assert.deepEqual(idsOf(decide(caller)), ["spiffe://prod.example/old"])
})

function idsOf(decision: Decision): readonly string[] {
  return decision.kind === "granted" ? decision.grants.map(({ id }) => id) : []
}
