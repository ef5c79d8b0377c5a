import assert from "node:assert/strict"
import { test } from "node:test"
import { decideToken } from "../../src/core/policy/decide-token.ts"
import { intersectPatterns, isWithinPattern, parseIdPattern, patternText } from "../../src/core/rules/id-pattern.ts"
import type { AcceptRuleSpec, ExportRuleSpec } from "../../src/core/rules/token-rule.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { accepting, compiledTokens, exporting, question, tokenProblems, tokenTable } from "../support/token-rules.ts"

const OWN = parseTrustDomain("prod.example")

test("[TPO-02][POL-05] a table is refused with every problem of its token rules, and with its place", () => {
  const exports = [
    exporting({ name: "a", subjects: ["web", "/ok"], when: "subject.nme == 'a'" }),
    exporting({ name: "a", modes: ["self", "impersonation"], audiences: ["*", "ledger"], actors: ["/x"] }),
  ]
  const accepts = [
    accepting({ audiences: ["*"], defaultScopes: ["x"], actors: ["/x"], when: "request.scopes" }),
    accepting({ when: 'client.id.matches("(a+)+")' }),
  ]
  assert.deepEqual(tokenProblems(exports, accepts), [
    "token_rules.exports.0.subject: SPIFFE ID is not spiffe://<trust domain>/<path>",
    "token_rules.exports.0.when: CEL at character 9: No such key: nme",
    "token_rules.exports.1.actor: has no meaning unless mode has delegation",
    "token_rules.exports.1.client: is required when mode has impersonation or delegation",
    'token_rules.exports.1.audience: has "*", which is any audience, beside others',
    "token_rules.accepts.0.actor: has no meaning unless mode has delegation",
    'token_rules.accepts.0.audience: must be named; only an export can have "*"',
    'token_rules.accepts.0.default_scopes: "x" is not one of scopes',
    "token_rules.accepts.0.when: CEL at character 1: gives list<string>, not bool",
    "token_rules.accepts.1.when: CEL at character 1: matches() is not offered; offered are startsWith, endsWith, contains, size, has, lowerAscii, substring, indexOf, lastIndexOf, split, int, string",
    'token_rules.exports.1.name: there is a rule "a" in exports already',
    'token_rules.accepts.1.name: there is a rule "accept" in accepts already',
  ])
})

test("[TPO-03] a pattern is one ID, or all IDs below a path of one trust domain, by whole segments", () => {
  const grants = (subject: string, client: string) =>
    decideToken(question({ client }), tokenTable([exporting()], [accepting({ subjects: [subject] })])).kind ===
    "granted"
  assert.ok(grants("/web", "/web"))
  assert.ok(grants("spiffe://prod.example/web", "/web"))
  assert.ok(!grants("/web", "/web/a"))
  assert.ok(grants("/web/*", "/web/a"))
  assert.ok(grants("/web/*", "/web/a/b"))
  assert.ok(!grants("/web/*", "/web"))
  assert.ok(!grants("/web/*", "/webs/a"))
  assert.ok(grants("*", "/web"))
  assert.ok(grants("/*", "/web/a"))
  const foreign = "spiffe://other.example/web"
  const crossing = (subject: string) =>
    decideToken(
      question({ client: foreign }),
      tokenTable([exporting({ subjects: ["spiffe://other.example/*"] })], [accepting({ subjects: [subject] })]),
    ).kind
  assert.equal(crossing("*"), "refused")
  assert.equal(crossing(foreign), "granted")
  assert.equal(crossing("spiffe://other.example/*"), "granted")
})

test("[TPO-03] refuses a pattern that cannot be meant so", () => {
  const bad = ["", "**", "/", "/a*", "/a/*/b", "/*/a", "/a/**", "/a/../*", "spiffe://prod.example", "web", "a/*"]
  const reserved = ["/assay/*", "/assay/server", "spiffe://prod.example/assay", "/assay"]
  const foreign = ["spiffe://*/a", "spiffe://*", "spiffe://prod.*/a", "https://prod.example/*"]
  const deep = `${"/a".repeat(17)}/*`
  for (const text of [...bad, ...reserved, ...foreign, deep]) {
    assert.throws(() => parseIdPattern(text, OWN), { code: "malformed" }, text)
  }
  for (const text of ["/assays", "spiffe://other.example/assay/x", `${"/a".repeat(16)}/*`, "/a".repeat(40)]) {
    parseIdPattern(text, OWN)
  }
})

test("[TPO-03] patterns form a tree: two of them have nothing in common, or one is within the other", () => {
  const texts = ["*", "/a/*", "/a/b/*", "/a/b", "/ab/*", "/a/b/c", "spiffe://other.example/*"]
  const patterns = texts.map((text) => parseIdPattern(text, OWN))
  const [all, a, ab, exact, abWord, abc, other] = patterns
  assert.ok(all && a && ab && exact && abWord && abc && other)
  assert.equal(patternText(all), "spiffe://prod.example/*")
  assert.equal(intersectPatterns(all, ab), ab)
  assert.equal(intersectPatterns(abc, a), abc)
  assert.equal(intersectPatterns(ab, exact), undefined)
  assert.equal(intersectPatterns(a, abWord), undefined)
  assert.equal(intersectPatterns(all, other), undefined)
  assert.ok(isWithinPattern(exact, a) && isWithinPattern(exact, exact) && !isWithinPattern(a, exact))
})

test("[TPO-08] refuses more than 256 rules with the same audience and subject, and more pairs than a table can hold", () => {
  const accepts = (count: number, subject: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => accepting({ name: `a${i}`, subjects: [subject(i)] }))
  assert.deepEqual(
    tokenProblems(
      [],
      accepts(256, () => "*"),
    ),
    [],
  )
  assert.match(
    tokenProblems(
      [],
      accepts(257, () => "*"),
    ).join(),
    /^token_rules.accepts: more than 256 rules/,
  )
  assert.deepEqual(
    tokenProblems(
      [],
      accepts(10_000, (i) => `/a/${i}`),
    ),
    [],
  )
  assert.match(
    tokenProblems(
      [],
      accepts(10_001, (i) => `/a/${i}`),
    ).join(),
    /at most 10000 rules/,
  )
  const many = Array.from({ length: 65 }, (_, i) => `/${i}`)
  const wide = [exporting({ subjects: many, audiences: many })]
  assert.match(tokenProblems(wide, []).join(), /more than 4096 pairs/)
})

test("[TPO-09] warns of a rule that decides nothing, and of no other", () => {
  const warnings = (exports: readonly ExportRuleSpec[], accepts: readonly AcceptRuleSpec[]) => {
    const result = compiledTokens({ exports, accepts })
    if (result.kind === "refused") assert.fail("refused")
    return result.warnings.map(({ path, message }) => `${path.join(".")}: ${message}`)
  }
  const others = { modes: ["delegation"], clients: ["/gate"] } as const
  assert.deepEqual(warnings([exporting()], [accepting()]), [])
  assert.deepEqual(
    warnings(
      [exporting(), exporting({ name: "again", subjects: ["/a/*"], audiences: ["ledger"] })],
      [
        accepting(),
        accepting({ name: "narrow", subjects: ["/a/*", "/b"], ttl: 600 }),
        accepting({ name: "more", scopes: ["x"] }),
      ],
    ),
    [
      'token_rules.exports.1: decides nothing: "export" before it covers all that it does',
      'token_rules.accepts.1: decides nothing: "accept" before it covers all that it does',
    ],
  )
  assert.deepEqual(warnings([exporting({ name: "others", ...others })], [accepting()]), [
    "token_rules.exports.0: decides nothing: no accept takes what it lets go",
    "token_rules.accepts.0: decides nothing: no export lets go what it takes",
  ])
  const svid = { ...others, clients: ["*"], products: ["jwt-svid"] } as const
  assert.equal(warnings([exporting(others)], [accepting(svid)]).length, 2)
  const sometimes = accepting({ when: "request.ttl < 60" })
  assert.deepEqual(warnings([exporting()], [sometimes, accepting({ name: "else" })]), [])
  assert.equal(warnings([exporting()], [sometimes, { ...sometimes, name: "again" }]).length, 1)
})

test("[POL-01] a decision evaluates no more rules of a large table than of a small one", () => {
  const table = tokenTable(
    Array.from({ length: 10_000 }, (_, i) => exporting({ name: `e${i}`, subjects: [`/ns/${i}/*`] })),
    Array.from({ length: 10_000 }, (_, i) => accepting({ name: `a${i}`, audiences: [`aud-${i}`] })),
  )
  const { subject } = question({ client: "/ns/77/web" })
  assert.deepEqual(
    table.tokens.exportIndex
      .candidates("aud-5", subject)
      .flat()
      .map(({ spec }) => spec.name),
    ["e77"],
  )
  assert.deepEqual(
    table.tokens.acceptIndex
      .candidates("aud-5", subject)
      .flat()
      .map(({ spec }) => spec.name),
    ["a5"],
  )
})
