import assert from "node:assert/strict"
import { test } from "node:test"
import { explainAttested, makeExplainToken } from "../../src/app/rules/explain.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { explanationJson, explanationTable } from "../../src/main/commands/explain-output.ts"
import { attestedCaller } from "../support/attested-caller.ts"
import { cluster, rule, table } from "../support/rule-table.ts"

const RULES = [
  rule({ name: "api", namespaces: ["shop"], serviceAccounts: ["api"], spiffeId: "/api" }),
  rule({ name: "batch", when: 'subject.pod.name.startsWith("batch-")', spiffeId: "/batch" }),
  rule({ name: "web", spiffeId: "/ns/{{namespace}}/web", hint: "h" }),
  rule({ name: "again", spiffeId: "/ns/{{namespace}}/web" }),
  rule({ name: "second", spiffeId: "/second", hint: "h" }),
]

test("[RUL-13] every rule is explained by its identity, its first failing condition or its refusal", () => {
  const explained = explainAttested(attestedCaller(), table(RULES))
  assert.ok(explained.kind === "decided" && explained.decision.kind === "granted")
  assert.deepEqual(explained.rules, [
    { rule: "api", verdict: "not-matched", detail: 'service_account is "web", not "api"' },
    { rule: "batch", verdict: "not-matched", detail: 'subject.pod.name.startsWith("batch-") is false' },
    { rule: "web", verdict: "granted", detail: "spiffe://prod.example/ns/shop/web" },
    {
      rule: "again",
      verdict: "refused",
      detail: "spiffe://prod.example/ns/shop/web: an earlier rule gives the same identity",
    },
    {
      rule: "second",
      verdict: "granted",
      detail: 'spiffe://prod.example/second (without its hint "h", which an earlier rule has)',
    },
  ])
})

test("[RUL-13] output names claims, rules, outcome and the stable reason, in both forms", () => {
  const refused = explainAttested(attestedCaller(), table(RULES.slice(0, 2)))
  const text = explanationTable(refused)
  assert.match(text, /^ {2}service_account {2}web$/m)
  assert.match(text, /^REFUSED {2}no-rule-matched: no rule gives this caller an identity$/m)
  assert.match(text, /^nearest rule: batch: subject\.pod\.name\.startsWith\("batch-"\) is false$/m)
  const json: unknown = JSON.parse(explanationJson(refused))
  assert.ok(typeof json === "object" && json !== null && "reason" in json && "rules" in json)
  assert.equal(json.reason, "no-rule-matched")
  const granted = explanationTable(explainAttested(attestedCaller(), table(RULES)))
  assert.match(granted, /^GRANTED {2}spiffe:\/\/prod\.example\/ns\/shop\/web {2}x509 3600s {2}jwt 300s {2}hint h$/m)
})

test("[RUL-13] a caller outside its cluster's bounds is refused before any rule", () => {
  const bounded = table(RULES, [cluster("main", { namespaces: ["bank"] })])
  const explained = explainAttested(attestedCaller(), bounded)
  assert.ok(explained.kind === "decided" && explained.decision.kind === "refused")
  assert.deepEqual([explained.decision.reason, explained.rules], ["outside-cluster-bounds", []])
})

test("[RUL-13] a token that cannot be attested is explained by its reason, and a bug stays one", async () => {
  const rules = () => table(RULES)
  const signal = new AbortController().signal
  const error = new IdentityError("unauthenticated", "the token has expired", { reason: "token-expired" })
  const explained = await makeExplainToken({ attest: () => Promise.reject(error), rules })("token", signal)
  assert.equal(explanationTable(explained), "NOT ATTESTED  token-expired: the token has expired\n")
  assert.match(explanationJson(explained), /"outcome":"not-attested","code":"unauthenticated","reason":"token-expired"/)
  const bug = makeExplainToken({ attest: () => Promise.reject(new TypeError("bug")), rules })
  await assert.rejects(bug("token", signal), TypeError)
})
