import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { AttestedClaims } from "../../src/core/policy/attested.ts"
import { decideIdentities } from "../../src/core/policy/decide.ts"
import { DECISION_REASONS } from "../../src/core/policy/decision-reason.ts"
import type { Grant } from "../../src/core/policy/grant.ts"
import type { ClusterBounds, RuleSpec } from "../../src/core/rules/rule.ts"
import { isReserved, parseWorkloadId, pathOf, trustDomainOf } from "../../src/core/spiffe/id.ts"
import { isDnsName } from "../../src/core/x509/dns-name.ts"
import { attestedCaller } from "../support/attested-caller.ts"
import { cluster, compiled, rule } from "../support/rule-table.ts"

const VARIABLES = ["cluster", "namespace", "service_account", "pod", "pod_uid", "node", "node_uid"] as const

const variable = fc.constantFrom(...VARIABLES).map((name) => `{{${name}}}`)
const word = fc.constantFrom("ns", "sa", "assay", "eu", "eux", "a", "-", ".", "..x")
const segment = fc.array(fc.oneof(variable, word), { minLength: 1, maxLength: 2 }).map((parts) => parts.join(""))
const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => `/${segments.join("/")}`)
const hostile = fc.oneof(
  fc.constantFrom("{{", "}}", "{{nope}}", "//", "/..", "/./", "%2e", "?", "#", "@", ":", " ", "\0", "/"),
  fc.string({ maxLength: 8 }),
)
const template = fc.oneof(
  { weight: 8, arbitrary: path },
  { weight: 2, arbitrary: path.map((text) => `/eu${text}`) },
  { weight: 1, arbitrary: path.map((text) => `spiffe://prod.example${text}`) },
  { weight: 1, arbitrary: fc.tuple(path, hostile, path).map((parts) => parts.join("")) },
)
const dnsName = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(variable, fc.constantFrom(".svc", ".1", "-x.svc")).map((parts) => parts.join("")) },
  { weight: 1, arbitrary: fc.tuple(variable, hostile).map((parts) => parts.join("")) },
)

/** What a cluster may claim of its pods, hostile clusters included. */
const value = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom("shop", "web", "eu", "assay", "a.b", "A_b", "0") },
  {
    weight: 2,
    arbitrary: fc.constantFrom(".", "..", "", "/", "a/b", "../assay", "eu/../us", "%2f", "é", "a".repeat(300)),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 12, unit: "binary" }) },
)
const object = fc.option(fc.record({ name: value, uid: value }), { nil: undefined })
const claims: fc.Arbitrary<Partial<AttestedClaims>> = fc.record({
  cluster: fc.oneof({ weight: 9, arbitrary: fc.constant("main") }, { weight: 1, arbitrary: value }),
  namespace: value,
  serviceAccount: value,
  pod: object,
  node: object,
})

const bounds: fc.Arbitrary<ClusterBounds> = fc
  .record({
    namespaces: fc.option(fc.constant(["shop", "eu", "assay"]), { nil: undefined, freq: 2 }),
    pathPrefix: fc.option(fc.constantFrom("/eu", "/ns/eu", "/assay"), { nil: undefined, freq: 2 }),
  })
  .map((found) => cluster("main", found))
const CONDITIONS = ['subject.pod.name.startsWith("w")', 'subject.node.uid == "0"', 'subject.namespace != "shop"']
const rules: fc.Arbitrary<readonly RuleSpec[]> = fc
  .array(
    fc.record({
      spiffeId: template,
      when: fc.option(fc.constantFrom(...CONDITIONS), { nil: undefined, freq: 2 }),
      dnsNames: fc.array(dnsName, { maxLength: 1 }),
      hint: fc.constantFrom("", "one"),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((specs) => specs.map((spec, index) => rule({ name: `rule-${index}`, ...spec })))

test("no template and no claims give an ID outside of the cluster's bounds, or Assay's own; a decision never throws", () => {
  const seen = { granted: 0, refused: 0, uncompiled: 0 }
  fc.assert(
    fc.property(rules, bounds, fc.array(claims, { minLength: 1, maxLength: 8 }), (specs, limits, callers) => {
      // A table with a broken rule is refused whole, so each rule is tried alone as well.
      for (const chosen of [specs, ...specs.map((spec) => [spec])]) {
        const result = compiled(chosen, [limits])
        if (result.kind === "refused") {
          seen.uncompiled++
          continue
        }
        for (const caller of callers) {
          const decision = decideIdentities(attestedCaller(caller), result.table)
          seen[decision.kind]++
          if (decision.kind === "refused") assert.ok(Object.hasOwn(DECISION_REASONS, decision.reason))
          else checkGrants(decision.grants, chosen, caller, limits)
        }
      }
    }),
    { numRuns: RUNS },
  )
  // Otherwise the generators no longer reach what is to be shown.
  for (const [outcome, count] of Object.entries(seen)) assert.ok(count > RUNS / 10, `${outcome}: ${count}`)
})

function checkGrants(
  grants: readonly Grant[],
  specs: readonly RuleSpec[],
  caller: Partial<AttestedClaims>,
  limits: ClusterBounds,
): void {
  assert.equal(caller.cluster, "main")
  assert.ok(limits.namespaces === undefined || limits.namespaces.includes(caller.namespace ?? ""))
  assert.equal(new Set(grants.map(({ id }) => id)).size, grants.length)
  const hints = grants.flatMap(({ hint }) => (hint === "" ? [] : [hint]))
  assert.equal(new Set(hints).size, hints.length)
  for (const { id, rule: name, dnsNames } of grants) {
    const parsed = parseWorkloadId(id)
    const { spiffeId = "" } = specs.find((spec) => spec.name === name) ?? {}
    assert.equal(pathOf(parsed).split("/").length, spiffeId.replace("spiffe://prod.example", "").split("/").length, id)
    assert.equal(trustDomainOf(parsed), "prod.example")
    assert.equal(isReserved(parsed), false)
    const { pathPrefix } = limits
    assert.ok(pathPrefix === undefined || `${pathOf(parsed)}/`.startsWith(`${pathPrefix}/`), id)
    for (const name of dnsNames) assert.ok(isDnsName(name), name)
  }
}

const RUNS = 5_000
