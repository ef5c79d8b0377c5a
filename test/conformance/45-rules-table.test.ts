import assert from "node:assert/strict"
import { test } from "node:test"
import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { decideIdentities } from "../../src/core/policy/decide.ts"
import type { RuleSpec } from "../../src/core/rules/rule.ts"
import { parseServerConfig } from "../../src/main/config/server-config.ts"
import { attestedCaller } from "../support/attested-caller.ts"
import { cluster, compiled, problems, rule, table } from "../support/rule-table.ts"

test("[RUL-02] without rules a caller gets the ID of its namespace and service account", () => {
  const text = `trust_domain: prod.example
clusters: [{ name: main, issuer: i, audiences: [a], keys: { jwks_file: /x }, token_review: { mode: off } }]`
  const { rules } = parseServerConfig(text, "a.yaml", makeCelConditions().compile)
  const decision = decideIdentities(attestedCaller(), rules)
  assert.equal(decision.kind === "granted" && decision.grants[0]?.id, "spiffe://prod.example/ns/shop/sa/web")
})

test("[RUL-03] a table is refused with every problem that it has", () => {
  const found = problems([
    rule({ name: "a", spiffeId: "/{{nope}}", when: "1 +", dnsNames: ["ok.svc", "*.svc"], hint: "h".repeat(1025) }),
    rule({ name: "a", spiffeId: "/a" }),
  ])
  const places = found.map((problem) => problem.split(": ")[0])
  assert.deepEqual(places, ["rules.0.when", "rules.0.spiffe_id", "rules.0.dns_names.1", "rules.0.hint", "rules.1.name"])
})

test("[RUL-03] a hint is bounded in bytes, not in characters", () => {
  assert.deepEqual(problems([rule({ name: "a", spiffeId: "/a", hint: "é".repeat(512) })]), [])
  assert.equal(problems([rule({ name: "a", spiffeId: "/a", hint: "é".repeat(513) })]).length, 1)
})

test("[RUL-17][SID-11][DISC-13] warns of an ID that OIDC relying parties do not accept as subject", () => {
  const warnings = (path: string, parts: Partial<RuleSpec> = {}) => {
    const result = compiled([rule({ name: "a", spiffeId: path, ...parts })])
    return result.kind === "compiled" ? result.warnings.map(({ message }) => message) : assert.fail("refused")
  }
  assert.deepEqual(warnings("/ns/{{namespace}}"), [])
  assert.match(warnings(`/${"x".repeat(250)}`)[0] ?? "", /more than 255/)
  assert.deepEqual(warnings("/ns/{{namespace}}/sa/{{service_account}}"), [])
  const long = "/{{namespace}}/{{service_account}}/{{pod}}/{{node}}"
  const length = "spiffe://prod.example".length + 4 * 64
  assert.match(warnings(long)[0] ?? "", new RegExp(`^can give IDs of ${length} characters`))
  assert.deepEqual(warnings(long, { namespaces: ["shop"], serviceAccounts: ["web", "cart"] }), [])
})

test("[RUL-18] warns of a template by which two namespaces can be given one ID or DNS name", () => {
  const warned = (path: string, parts: Partial<RuleSpec> = {}) => {
    const result = compiled([rule({ name: "a", spiffeId: path, ...parts })])
    return result.kind === "compiled" ? result.warnings.map(({ path }) => path.join(".")) : assert.fail("refused")
  }
  const joined = "/{{namespace}}-{{service_account}}"
  for (const path of [
    joined,
    "/{{service_account}}-{{namespace}}",
    "/{{namespace}}{{pod}}",
    "/{{cluster}}-{{namespace}}-in-{{pod}}",
    "/{{service_account}}.{{namespace}}.{{pod}}",
    "/{{service_account}}_{{namespace}}-{{pod}}",
  ]) {
    assert.deepEqual(warned(path), ["rules.0.spiffe_id"], path)
  }
  for (const path of [
    "/ns/{{namespace}}/sa/{{service_account}}",
    "/ns/{{namespace}}/{{namespace}}-{{service_account}}",
    "/{{cluster}}-{{namespace}}-x/{{pod}}",
    "/{{namespace}}.{{service_account}}-{{pod}}",
    "/{{service_account}}.x-{{namespace}}",
    "/{{namespace}}_{{service_account}}",
    "/{{service_account}}_{{namespace}}.{{pod}}",
    "/{{service_account}}-{{pod}}",
  ]) {
    assert.deepEqual(warned(path), [], path)
  }
  assert.deepEqual(warned(joined, { serviceAccounts: ["web"] }), [])
  assert.deepEqual(warned(joined, { serviceAccounts: ["web", "b-web"] }), ["rules.0.spiffe_id"])
  assert.deepEqual(warned(joined, { namespaces: ["shop", "pay"] }), [])
  assert.deepEqual(warned(joined, { namespaces: ["shop", "shop-b"] }), ["rules.0.spiffe_id"])
  const dnsNames = ["{{service_account}}.{{namespace}}.svc", "{{service_account}}-{{namespace}}.svc"]
  assert.deepEqual(warned("/a", { dnsNames }), ["rules.0.dns_names.1"])
})

test("[RUL-18] the same ID is what such a template gives to callers of two namespaces", () => {
  const of = table([rule({ name: "a", spiffeId: "/{{namespace}}-{{service_account}}" })])
  const ids = [
    { namespace: "a-b", serviceAccount: "c" },
    { namespace: "a", serviceAccount: "b-c" },
  ].map((claims) => decideIdentities(attestedCaller(claims), of))
  assert.deepEqual(ids[0], ids[1])
})

test("[RUL-04][SID-10] refuses a template that cannot be meant so", () => {
  const bad = [
    "/a/{{unknown}}",
    "/a/{{namespace}",
    "/a/{namespace}",
    "/a/}}",
    "/a//b",
    "/a/",
    "/",
    "/a/../b",
    "/a b",
    "a",
    "spiffe://other.example/a",
    "spiffe://prod.example.evil/a",
    "spiffe://{{namespace}}/a",
    "https://prod.example/a",
    "/assay",
    "/assay/server",
    "spiffe://prod.example/assay/{{pod}}",
  ]
  for (const spiffeId of bad) assert.equal(problems([rule({ name: "a", spiffeId })]).length, 1, spiffeId)
  for (const spiffeId of ["/a/{{namespace}", "/a/{namespace}", "/a/}}"]) {
    assert.match(problems([rule({ name: "a", spiffeId })])[0] ?? "", /has a brace/)
  }
  for (const spiffeId of ["/assays", "/x-{{ namespace }}_1", "spiffe://prod.example/{{pod_uid}}"]) {
    assert.deepEqual(problems([rule({ name: "a", spiffeId })]), [])
  }
})

test("[RUL-06] refuses a condition that is not well typed or not bounded", () => {
  const bad = {
    "subject.nme == 'a'": /character 9: No such key: nme/,
    "subjct.namespace == 'a'": /Unknown variable: subjct/,
    "subject.namespace": /gives string, not bool/,
    "subject.namespace == 1": /./,
    "subject.namespace ==": /./,
    'subject.namespace.matches("(a+)+$")': /matches\(\) is not offered/,
    "[1, 2].exists(x, x == 1)": /exists\(\) is not offered/,
    "dyn(subject.namespace) == 1": /dyn\(\) is not offered/,
    'true || (subject.namespace + "").matches("x")': /matches\(\) is not offered/,
    [`true${" && true".repeat(1000)}`]: /./,
  }
  for (const [when, message] of Object.entries(bad)) {
    const [problem = ""] = problems([rule({ name: "a", spiffeId: "/a", when })])
    assert.match(problem, /^rules\.0\.when: CEL/, when)
    assert.match(problem, message)
  }
})

test("[RUL-09] clusters that could mint the same ID are refused until they are separated or both shared", () => {
  const plain = [rule({ name: "all", spiffeId: "/ns/{{namespace}}/sa/{{service_account}}" })]
  const [problem = ""] = problems(plain, [cluster("a"), cluster("b")])
  assert.match(problem, /^clusters\.1\.bounds: clusters "a" and "b" could mint the same SPIFFE ID by rule "all"/)
  const collide = (spec: Parameters<typeof problems>[0], a: object, b: object) =>
    problems(spec, [cluster("a", a), cluster("b", b)]).length === 1
  assert.ok(collide(plain, { shared: true }, {}))
  assert.ok(!collide(plain, { shared: true }, { shared: true }))
  assert.ok(!collide(plain, { namespaces: ["x"] }, { namespaces: ["y"] }))
  assert.ok(collide(plain, { namespaces: ["x", "z"] }, { namespaces: ["y", "z"] }))
  assert.ok(collide(plain, { namespaces: ["x"] }, {}))
})

test("[RUL-09] templates, exact fields and path prefixes separate clusters", () => {
  const clusters = (a: object, b: object) => [cluster("a", a), cluster("b", b)]
  const any = rule({ name: "any", spiffeId: "/{{namespace}}/{{service_account}}" })
  const perCluster = rule({ name: "per", spiffeId: "/c/{{cluster}}/{{service_account}}" })
  const joined = rule({ name: "joined", spiffeId: "/c/{{cluster}}{{service_account}}" })
  const pathless = rule({ name: "fixed", namespaces: ["x"], spiffeId: "/fixed" })
  assert.deepEqual(problems([any], clusters({ pathPrefix: "/eu" }, { pathPrefix: "/us" })), [])
  assert.equal(problems([any], clusters({ pathPrefix: "/eu" }, { pathPrefix: "/eu/x" })).length, 1)
  assert.equal(problems([any], clusters({ pathPrefix: "/eu" }, {})).length, 1)
  assert.deepEqual(problems([perCluster], clusters({}, {})), [])
  assert.equal(problems([perCluster, any], clusters({}, {})).length, 1)
  assert.equal(problems([joined], clusters({}, {})).length, 1, "segments that mix text and claims are not told apart")
  assert.equal(problems([pathless], clusters({ namespaces: ["x"] }, { namespaces: ["x", "y"] })).length, 1)
  assert.deepEqual(problems([pathless], clusters({ namespaces: ["x"] }, { namespaces: ["y"] })), [])
  assert.deepEqual(problems([{ ...pathless, clusters: ["a"] }], clusters({}, {})), [])
})

test("[RUL-09] text beside a claim is part of the segment, also of a claim whose values are listed", () => {
  const fixed = rule({ name: "fixed", clusters: ["b"], spiffeId: "/team-shop" })
  const joined = { name: "joined", clusters: ["a"], spiffeId: "/team-{{namespace}}" }
  for (const parts of [{ namespaces: ["shop"] }, { namespaces: ["shop", "bank"] }, {}]) {
    assert.equal(problems([rule({ ...joined, ...parts }), fixed], [cluster("a"), cluster("b")]).length, 1)
  }
})

test("[RUL-10] one caller's look-up touches no rule of others, in a table of 10,000", () => {
  const rules = Array.from({ length: 9_999 }, (_, i) =>
    rule({ name: `r${i}`, namespaces: [`n${i}`], spiffeId: "/ns/{{namespace}}" }),
  )
  const of = table([...rules, rule({ name: "all", spiffeId: "/all/{{namespace}}" })])
  const found = of.index.candidates({ cluster: "main", namespace: "n42", serviceAccount: "web" })
  assert.deepEqual(
    found.map(({ spec }) => spec.name),
    ["r42", "all"],
  )
})

test("[RUL-10] refuses more than 256 rules with the same exact fields, and combinations without bound", () => {
  const same = (count: number) => Array.from({ length: count }, (_, i) => rule({ name: `r${i}`, spiffeId: `/${i}` }))
  assert.deepEqual(problems(same(256)), [])
  assert.match(problems(same(257))[0] ?? "", /more than 256 rules have the same/)
  const names = Array.from({ length: 70 }, (_, i) => `n${i}`)
  const wide = rule({ name: "wide", namespaces: names, serviceAccounts: names, spiffeId: "/wide" })
  assert.match(problems([wide])[0] ?? "", /more than 4096 combinations/)
  const most = (count: number) =>
    Array.from({ length: count }, (_, i) =>
      rule({ name: `r${i}`, namespaces: names.slice(0, 64), serviceAccounts: names.slice(0, 64), spiffeId: `/${i}` }),
    )
  assert.deepEqual(problems(most(64)), [])
  assert.match(problems(most(65))[0] ?? "", /more than 262144 combinations/)
})
