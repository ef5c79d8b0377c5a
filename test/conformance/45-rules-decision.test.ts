import assert from "node:assert/strict"
import { test } from "node:test"
import type { AttestedClaims } from "../../src/core/policy/attested.ts"
import { decideIdentities } from "../../src/core/policy/decide.ts"
import { DECISION_REASONS } from "../../src/core/policy/decision-reason.ts"
import { evaluateRule } from "../../src/core/policy/rule-outcome.ts"
import type { RuleSpec } from "../../src/core/rules/rule.ts"
import type { RuleTable } from "../../src/core/rules/rule-table.ts"
import { attestedCaller } from "../support/attested-caller.ts"
import { cluster, rule, table } from "../support/rule-table.ts"

const DEFAULT = rule({ name: "default", spiffeId: "/ns/{{namespace}}/sa/{{service_account}}" })

function granted(of: RuleTable, claims?: Partial<AttestedClaims>) {
  const decision = decideIdentities(attestedCaller(claims), of)
  if (decision.kind === "refused") assert.fail(`${decision.reason}: ${decision.nearest?.condition ?? ""}`)
  return decision.grants
}

function refused(of: RuleTable, claims?: Partial<AttestedClaims>) {
  const decision = decideIdentities(attestedCaller(claims), of)
  if (decision.kind === "granted") assert.fail(`granted ${decision.grants[0]?.id ?? ""}`)
  return decision
}

test("[RUL-01] gives identities in the order of the rules, whichever bucket they stand in, and again the same", () => {
  const rules = [
    rule({ name: "broad", spiffeId: "/broad" }),
    rule({ name: "exact", namespaces: ["shop"], serviceAccounts: ["web"], spiffeId: "/exact" }),
    rule({ name: "by-cluster", clusters: ["main"], spiffeId: "/cluster" }),
    rule({ name: "other", namespaces: ["other"], spiffeId: "/other" }),
  ]
  const first = granted(table(rules)).map(({ id }) => id)
  assert.deepEqual(first, [
    "spiffe://prod.example/broad",
    "spiffe://prod.example/exact",
    "spiffe://prod.example/cluster",
  ])
  assert.deepEqual(granted(table(rules)), granted(table(rules)))
  assert.deepEqual(
    granted(table([...rules].reverse())).map(({ id }) => id),
    [...first].reverse(),
  )
})

test("[RUL-01] a grant carries what its rule says", () => {
  const spec = rule({
    name: "web",
    spiffeId: "/{{cluster}}/{{namespace}}/{{pod}}/{{node}}",
    when: 'subject.pod.name.startsWith("web-") && subject.node.name == "node-1"',
    x509Ttl: 900,
    jwtTtl: 60,
    dnsNames: ["{{service_account}}.shop.svc", "web.internal", "{{service_account}}.shop.svc"],
    audiences: ["ledger"],
    hint: "front",
  })
  const of = table([spec])
  assert.deepEqual(granted(of), [
    {
      rule: "web",
      revision: of.revision,
      id: "spiffe://prod.example/main/shop/web-0/node-1",
      hint: "front",
      x509Ttl: 900,
      jwtTtl: 60,
      dnsNames: ["web.shop.svc", "web.internal"],
      audiences: ["ledger"],
      federatesWith: [],
    },
  ])
})

test("[RUL-01] each variable of a template gives its own claim", () => {
  const names = ["cluster", "namespace", "service_account", "pod", "pod_uid", "node", "node_uid"]
  const [grant] = granted(table([rule({ name: "a", spiffeId: names.map((name) => `/{{${name}}}`).join("") })]))
  assert.equal(grant?.id, "spiffe://prod.example/main/shop/web/web-0/pod-uid/node-1/node-uid")
})

test("[RUL-01] a rule matches the very values that it lists, also where it is judged without the index", () => {
  const of = table([
    rule({ name: "a", clusters: ["main"], namespaces: ["shop"], serviceAccounts: ["web"], spiffeId: "/a" }),
  ])
  const [only] = of.rules
  assert.ok(only !== undefined)
  const judged = (claims: Partial<AttestedClaims>) => evaluateRule(only, cluster("main"), attestedCaller(claims).claims)
  assert.equal(judged({}).kind, "matched")
  for (const claims of [
    { cluster: "Main" },
    { namespace: "Shop" },
    { namespace: "shop2" },
    { serviceAccount: "WEB" },
  ]) {
    assert.equal(judged(claims).kind, "not-matched")
  }
})

test("[RUL-05] a claim that is not one path segment refuses the identity", () => {
  for (const namespace of ["a/b", "..", ".", "", "a b", "%2e", "é", "a\nb", "{{pod}}", "x".repeat(256)]) {
    assert.equal(refused(table([DEFAULT]), { namespace }).reason, "template-value-refused", JSON.stringify(namespace))
  }
  const perPod = table([rule({ name: "pod", spiffeId: "/pod/{{pod}}" })])
  assert.equal(refused(perPod, { pod: undefined }).reason, "template-value-refused")
})

test("[RUL-05] segments that only templates join into dots or the reserved path are refused too", () => {
  const dots = table([rule({ name: "dots", spiffeId: "/{{namespace}}{{service_account}}/x" })])
  assert.equal(refused(dots, { namespace: ".", serviceAccount: "." }).reason, "template-value-refused")
  const first = table([rule({ name: "first", spiffeId: "/{{namespace}}/{{service_account}}" })])
  assert.equal(refused(first, { namespace: "assay", serviceAccount: "server" }).reason, "reserved-identity")
  const long = table([rule({ name: "long", spiffeId: `/${"{{pod}}/".repeat(9)}end` })])
  assert.equal(refused(long, { pod: { name: "p".repeat(253), uid: "u" } }).reason, "invalid-identity")
})

test("[RUL-07] a condition that cannot be decided is no match, and the refusal says why", () => {
  const of = table([rule({ name: "web", spiffeId: "/web", when: 'subject.pod.name == "web-0"' })])
  assert.equal(granted(of).length, 1)
  const refusal = refused(of, { pod: undefined })
  assert.equal(refusal.reason, "no-rule-matched")
  assert.match(refusal.nearest?.condition ?? "", /could not be decided: No such key: pod/)
  const guarded = table([rule({ name: "web", spiffeId: "/web", when: "!has(subject.pod)" })])
  assert.equal(granted(guarded, { pod: undefined }).length, 1)
})

test("[RUL-08] bounds hold whatever the rules say, and end at a segment", () => {
  const byPath = table([rule({ name: "any", spiffeId: "/{{namespace}}/x" })], [cluster("main", { pathPrefix: "/eu" })])
  assert.equal(granted(byPath, { namespace: "eu" })[0]?.id, "spiffe://prod.example/eu/x")
  assert.equal(refused(byPath, { namespace: "eu2" }).reason, "outside-cluster-bounds")
  const byNamespace = table([DEFAULT], [cluster("main", { namespaces: ["shop"] })])
  assert.equal(granted(byNamespace).length, 1)
  assert.equal(refused(byNamespace, { namespace: "bank" }).reason, "outside-cluster-bounds")
  assert.equal(refused(byNamespace, { cluster: "gone" }).reason, "unknown-cluster")
})

test("[RUL-08] the namespaces of a cluster are bounds by their whole name", () => {
  const of = table([DEFAULT], [cluster("main", { namespaces: ["shop"] })])
  for (const namespace of ["shop2", "shop-a", "sho", "my-shop", "Shop"]) {
    assert.equal(refused(of, { namespace }).reason, "outside-cluster-bounds", namespace)
  }
})

test("[RUL-07] a condition can read whether the renewal goes on without the cluster", () => {
  const of = table([rule({ name: "web", spiffeId: "/web", when: "!subject.degraded" })])
  assert.equal(granted(of).length, 1)
  assert.equal(refused(of, { degraded: true }).reason, "no-rule-matched")
})

test("[RUL-11] each reason has a code, and each refusal a reason of the list", () => {
  assert.deepEqual(Object.keys(DECISION_REASONS).sort(), [
    "duplicate-identity",
    "invalid-dns-name",
    "invalid-identity",
    "no-rule-matched",
    "outside-cluster-bounds",
    "reserved-identity",
    "template-value-refused",
    "too-many-identities",
    "unknown-cluster",
  ])
  const none = refused(table([]))
  assert.deepEqual([none.code, none.reason, none.nearest], ["no-identity", "no-rule-matched", undefined])
})

test("[RUL-11][RUL-13] a refusal names the nearest rule and its first failing condition", () => {
  const of = table([
    rule({ name: "far", clusters: ["other"], spiffeId: "/far" }),
    rule({ name: "near", namespaces: ["shop"], serviceAccounts: ["api"], spiffeId: "/near" }),
  ])
  assert.deepEqual(refused(of).nearest, { rule: "near", condition: 'service_account is "web", not "api"' })
})

test("[RUL-12] the revision changes with any field of the table, and with nothing else", () => {
  const base = rule({ name: "a", spiffeId: "/a" })
  const changes: Partial<RuleSpec>[] = [
    { name: "b" },
    { spiffeId: "/b" },
    { clusters: ["main"] },
    { namespaces: ["a"] },
    { serviceAccounts: ["a"] },
    { when: "true" },
    { x509Ttl: 1 },
    { jwtTtl: 1 },
    { dnsNames: ["a"] },
    { audiences: ["a"] },
    { hint: "a" },
  ]
  const revisions = [base, ...changes.map((change) => ({ ...base, ...change }))].map((spec) => table([spec]).revision)
  const bounded = [{ namespaces: ["a"] }, { pathPrefix: "/a" }, { shared: true }]
  revisions.push(...bounded.map((bounds) => table([base], [cluster("main", bounds)]).revision))
  assert.equal(new Set(revisions).size, revisions.length)
  assert.equal(table([{ ...base }]).revision, revisions[0])
})

test("[RUL-14][WA-10] of equal hints the first rule keeps it, and the others lose the hint, not the identity", () => {
  const of = table([
    rule({ name: "a", spiffeId: "/a", hint: "h" }),
    rule({ name: "b", spiffeId: "/b", hint: "h" }),
    rule({ name: "c", spiffeId: "/c" }),
    rule({ name: "d", spiffeId: "/d" }),
  ])
  assert.deepEqual(
    granted(of).map(({ hint }) => hint),
    ["h", "", "", ""],
  )
})

test("[RUL-15] an identity is given once, and at most 32 to one caller", () => {
  const twice = table([rule({ name: "a", spiffeId: "/x" }), rule({ name: "b", spiffeId: "/x", hint: "h" })])
  assert.deepEqual(
    granted(twice).map(({ rule: name }) => name),
    ["a"],
  )
  const many = Array.from({ length: 40 }, (_, i) => rule({ name: `r${i}`, spiffeId: `/r/${i}` }))
  assert.equal(granted(table(many)).length, 32)
})

test("[RUL-16] a DNS name that is none refuses the identity", () => {
  const of = table([rule({ name: "a", spiffeId: "/a", dnsNames: ["{{namespace}}.svc"] })])
  assert.equal(granted(of)[0]?.dnsNames[0], "shop.svc")
  for (const namespace of ["Shop", "a_b", "-a", "a-", "a".repeat(64)]) {
    assert.equal(refused(of, { namespace }).reason, "invalid-dns-name", namespace)
  }
  const address = table([rule({ name: "a", spiffeId: "/a", dnsNames: ["10.0.0.{{namespace}}"] })])
  assert.equal(refused(address, { namespace: "1" }).reason, "invalid-dns-name")
  assert.equal(granted(address, { namespace: "a1" })[0]?.dnsNames[0], "10.0.0.a1")
})
