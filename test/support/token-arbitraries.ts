import fc from "fast-check"
import type { TokenQuestion } from "../../src/core/policy/token-question.ts"
import { type CompiledRules, compileRules } from "../../src/core/rules/compile.ts"
import type { CompileCondition } from "../../src/core/rules/condition.ts"
import type { RuleTable } from "../../src/core/rules/rule-table.ts"
import type { AcceptRuleSpec, ExportRuleSpec, TokenMode, TokenRulesSpec } from "../../src/core/rules/token-rule.ts"
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { Holding } from "./token-oracle.ts"

/** Close to each other, so that patterns of all kinds meet. */
export const IDS = [
  "spiffe://prod.example/a",
  "spiffe://prod.example/a/b",
  "spiffe://prod.example/a/b/c",
  "spiffe://prod.example/a/bb",
  "spiffe://prod.example/d",
  "spiffe://other.example/a",
  "spiffe://other.example/a/b",
].map(parseSpiffeId)
export const AUDIENCES = ["x", "y"]
export const SCOPES = ["r", "w", "s"]
export const CONDITIONS = ["c1", "c2"]

const PATTERNS = [
  "*",
  "/a",
  "/a/*",
  "/a/b",
  "/a/b/*",
  "/a/bb",
  "/d",
  "spiffe://other.example/*",
  "spiffe://other.example/a",
]
const patterns = fc.subarray(PATTERNS, { minLength: 1, maxLength: 2 })
const wide = fc.oneof(
  { weight: 2, arbitrary: fc.constant(["*"]) },
  { weight: 1, arbitrary: fc.constant(["*", "spiffe://other.example/*"]) },
  { weight: 3, arbitrary: patterns },
)
const MODES = ["self", "impersonation", "delegation"] as const
const modes: fc.Arbitrary<readonly TokenMode[]> = fc.subarray([...MODES], { minLength: 1 })
const when = fc.oneof(
  { weight: 5, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom(...CONDITIONS) },
)
const scopeSet = fc.subarray(SCOPES)
const modesOfRules = fc.oneof(
  { weight: 1, arbitrary: fc.constant<readonly TokenMode[]>(MODES) },
  { weight: 1, arbitrary: modes },
)
const givenScopes = fc.oneof({ weight: 1, arbitrary: fc.constant(SCOPES) }, { weight: 2, arbitrary: scopeSet })

/** `undefined` when the mode has no use for it. */
function onlyFor<T>(has: boolean, value: T): T | undefined {
  return has ? value : undefined
}

const exportRule: fc.Arbitrary<Omit<ExportRuleSpec, "name">> = fc
  .record({
    subjects: wide,
    audiences: fc.constantFrom(["*"], ["x"], ["y"], ["x", "y"]),
    modes: modesOfRules,
    clients: wide,
    actors: fc.option(patterns, { nil: undefined, freq: 2 }),
    when,
  })
  .map((rule) => ({
    ...rule,
    clients: onlyFor(
      rule.modes.some((mode) => mode !== "self"),
      rule.clients,
    ),
    actors: onlyFor(rule.modes.includes("delegation"), rule.actors),
  }))

const acceptRule: fc.Arbitrary<Omit<AcceptRuleSpec, "name">> = fc
  .record({
    audiences: fc.constantFrom(["x"], ["y"], ["x", "y"]),
    subjects: wide,
    clients: fc.option(patterns, { nil: undefined, freq: 3 }),
    actors: fc.option(patterns, { nil: undefined, freq: 3 }),
    modes: modesOfRules,
    products: fc.subarray(["access-token", "jwt-svid", "x509-svid"] as const, { minLength: 1 }),
    grants: fc.oneof(
      fc.constant(["client_credentials", "token-exchange", "jwt-bearer"] as const),
      fc.constant(["token-exchange"] as const),
    ),
    bindings: fc.constantFrom(["none"] as const, ["none"] as const, ["dpop"] as const, ["dpop", "mtls"] as const),
    scopes: givenScopes,
    defaults: scopeSet,
    ttl: fc.constantFrom(60, 300),
    algorithm: fc.oneof(
      { weight: 5, arbitrary: fc.constant("ES256" as const) },
      { weight: 1, arbitrary: fc.constant("RS256" as const) },
    ),
    mayOutliveSubject: fc.boolean(),
    when,
  })
  .map(({ defaults, ...rule }) => ({
    ...rule,
    clients: onlyFor(
      rule.modes.some((mode) => mode !== "self"),
      rule.clients,
    ),
    actors: onlyFor(rule.modes.includes("delegation"), rule.actors),
    defaultScopes: defaults.filter((scope) => rule.scopes.includes(scope)),
  }))

/** Tables that compile. */
export const tokenRules: fc.Arbitrary<TokenRulesSpec> = fc
  .record({
    exports: fc.array(exportRule, { minLength: 1, maxLength: 5 }),
    accepts: fc.array(acceptRule, { minLength: 1, maxLength: 6 }),
  })
  .map(({ exports, accepts }) => ({
    exports: exports.map((rule, i) => ({ name: `e${i}`, ...rule })),
    accepts: accepts.map((rule, i) => ({ name: `a${i}`, ...rule })),
  }))

/** Questions whose parts agree with each other, for the most part. */
export const tokenQuestion: fc.Arbitrary<TokenQuestion> = fc
  .record({
    grant: fc.constantFrom("client_credentials", "token-exchange", "jwt-bearer"),
    product: fc.oneof(
      { weight: 3, arbitrary: fc.constant("access-token" as const) },
      { weight: 1, arbitrary: fc.constantFrom("jwt-svid", "x509-svid") },
    ),
    client: fc.constantFrom(...IDS),
    subject: fc.constantFrom(...IDS),
    actors: fc.array(fc.constantFrom(...IDS), { minLength: 1, maxLength: 2 }),
    mode: fc.constantFrom(...MODES),
    audiences: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(["x"], ["y"]) },
      { weight: 2, arbitrary: fc.constant(["x", "y"]) },
      { weight: 1, arbitrary: fc.constant(["z"]) },
    ),
    scopes: fc.oneof(
      { weight: 1, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.subarray(SCOPES, { maxLength: 2 }) },
    ),
    subjectScopes: fc.oneof(
      { weight: 3, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.subarray([...SCOPES, "other"]) },
    ),
    ttl: fc.constantFrom(undefined, 30, 3600),
    binding: fc.constantFrom("none", "dpop", "mtls"),
  })
  .map((asked) => ({
    ...asked,
    subject: asked.mode === "self" ? asked.client : asked.subject,
    actors: asked.mode === "delegation" ? asked.actors : [],
  }))

export const holdingConditions: fc.Arbitrary<Holding> = fc.subarray(CONDITIONS).map((texts) => new Set(texts))

/** A table whose conditions hold when their text is in what `holding` gives at that time. */
export function opaqueTable(tokens: TokenRulesSpec, holding: () => Holding): RuleTable {
  const compile: CompileCondition = (text) => () => ({ kind: holding().has(text) ? "matched" : "not-matched" })
  const result: CompiledRules = compileRules(
    { trustDomain: parseTrustDomain("prod.example"), clusters: [], rules: [], tokens },
    compile,
  )
  if (result.kind === "compiled") return result.table
  throw new Error(result.problems.map(({ path, message }) => `${path.join(".")}: ${message}`).join("\n"))
}
