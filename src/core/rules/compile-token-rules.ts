import { toIdentityError } from "../errors.ts"
import type { TrustDomain } from "../spiffe/id.ts"
import type { CompileCondition } from "./condition.ts"
import { type IdPattern, parseIdPattern } from "./id-pattern.ts"
import { IdTable } from "./id-table.ts"
import type { RuleProblem } from "./rule.ts"
import type { AcceptRuleSpec, ExportRuleSpec, TokenRulesSpec } from "./token-rule.ts"
import { ANY_AUDIENCE, buildTokenRuleIndex, pairsOf } from "./token-rule-index.ts"
import type { CompiledAccept, CompiledExport, CompiledTokenRule, IdSet, TokenRules } from "./token-rule-table.ts"

/** Compile the rules about tokens; what is wrong with them is added to `problems`. @see TPO-02 */
export function compileTokenRules(
  spec: TokenRulesSpec,
  trustDomain: TrustDomain,
  compile: CompileCondition,
  problems: RuleProblem[],
): TokenRules {
  const before = problems.length
  const exports = spec.exports.slice(0, MAX_RULES).map((rule, ordinal): CompiledExport => {
    const scribe = scribeFor(problems, "exports", ordinal)
    for (const [field, message] of exportProblems(rule)) scribe.refuse(field, message)
    const compiled = compileRule(rule, ordinal, trustDomain, compile, scribe)
    return { ...compiled, actors: compiled.actors ?? compiled.clients }
  })
  const accepts = spec.accepts.slice(0, MAX_RULES).map((rule, ordinal): CompiledAccept => {
    const scribe = scribeFor(problems, "accepts", ordinal)
    for (const [field, message] of acceptProblems(rule)) scribe.refuse(field, message)
    return compileRule(rule, ordinal, trustDomain, compile, scribe)
  })
  problems.push(...listProblems("exports", spec.exports, exports), ...listProblems("accepts", spec.accepts, accepts))
  const isSound = problems.length === before
  const exportIndex = buildTokenRuleIndex(isSound ? exports : [])
  const acceptIndex = buildTokenRuleIndex(isSound ? accepts : [])
  if (exportIndex.largestBucket > MAX_BUCKET) problems.push({ path: [SECTION, "exports"], message: BUCKET_MESSAGE })
  if (acceptIndex.largestBucket > MAX_BUCKET) problems.push({ path: [SECTION, "accepts"], message: BUCKET_MESSAGE })
  const rsa = accepts.filter(({ spec }) => spec.algorithm === "RS256").flatMap(({ spec }) => spec.audiences)
  return { exports, accepts, exportIndex, acceptIndex, rsaAudiences: new Set(rsa) }
}

type AnySpec = ExportRuleSpec | AcceptRuleSpec

function compileRule<Spec extends AnySpec>(
  spec: Spec,
  ordinal: number,
  trustDomain: TrustDomain,
  compile: CompileCondition,
  scribe: Scribe,
): CompiledTokenRule<Spec> {
  const { when } = spec
  const patterns = (field: string, texts: readonly string[]): readonly IdPattern[] =>
    texts.flatMap((text) => scribe.attempt(field, () => parseIdPattern(text, trustDomain)) ?? [])
  const set = (field: string, texts: readonly string[] | undefined): IdSet | undefined =>
    texts === undefined ? undefined : idSet(patterns(field, texts))
  const rule = {
    ordinal,
    spec,
    subjects: patterns("subject", spec.subjects),
    clients: set("client", spec.clients),
    actors: set("actor", spec.actors),
    condition: when === undefined ? undefined : scribe.attempt("when", () => compile(when, "token")),
  }
  if (pairsOf(rule) > MAX_PAIRS) scribe.refuse("audience", PAIRS_MESSAGE)
  return rule
}

function idSet(patterns: readonly IdPattern[]): IdSet {
  const table = new IdTable<true>()
  for (const pattern of patterns) table.add(pattern, true)
  return { patterns, table }
}

function* exportProblems(rule: ExportRuleSpec): Generator<readonly [field: string, message: string]> {
  yield* commonProblems(rule)
  const forOthers = rule.modes.some((mode) => mode !== "self")
  if (forOthers && rule.clients === undefined) yield ["client", "is required when mode has impersonation or delegation"]
  if (rule.audiences.includes(ANY_AUDIENCE) && rule.audiences.length > 1) {
    yield ["audience", 'has "*", which is any audience, beside others']
  }
}

function* acceptProblems(rule: AcceptRuleSpec): Generator<readonly [field: string, message: string]> {
  yield* commonProblems(rule)
  if (rule.audiences.includes(ANY_AUDIENCE)) yield ["audience", 'must be named; only an export can have "*"']
  const unknown = rule.defaultScopes.find((scope) => !rule.scopes.includes(scope))
  if (unknown !== undefined) yield ["default_scopes", `"${unknown}" is not one of scopes`]
}

function* commonProblems(rule: AnySpec): Generator<readonly [field: string, message: string]> {
  if (rule.clients !== undefined && rule.modes.every((mode) => mode === "self")) {
    yield ["client", "has no meaning unless mode has impersonation or delegation: the subject is the client"]
  }
  if (rule.actors !== undefined && !rule.modes.includes("delegation")) {
    yield ["actor", "has no meaning unless mode has delegation"]
  }
}

function* listProblems(
  list: "exports" | "accepts",
  specs: readonly AnySpec[],
  rules: readonly CompiledTokenRule<AnySpec>[],
): Generator<RuleProblem> {
  const path = [SECTION, list]
  if (specs.length > MAX_RULES) yield { path, message: `must be at most ${MAX_RULES} rules` }
  const pairs = rules.reduce((sum, rule) => sum + pairsOf(rule), 0)
  if (pairs > MAX_TABLE_PAIRS)
    yield { path, message: `list more than ${MAX_TABLE_PAIRS} pairs of audience and subject` }
  const seen = new Set<string>()
  for (const [i, { name }] of specs.entries()) {
    if (seen.has(name)) yield { path: [...path, i, "name"], message: `there is a rule "${name}" in ${list} already` }
    seen.add(name)
  }
}

/** Notes what is wrong with one rule. */
interface Scribe {
  readonly refuse: (field: string, message: string) => void
  /** @returns `undefined` when `make` threw, which is noted */
  readonly attempt: <T>(field: string, make: () => T) => T | undefined
}

function scribeFor(problems: RuleProblem[], list: string, ordinal: number): Scribe {
  const refuse = (field: string, message: string): void => {
    problems.push({ path: [SECTION, list, ordinal, field], message })
  }
  const attempt = <T>(field: string, make: () => T): T | undefined => {
    try {
      return make()
    } catch (thrown) {
      refuse(field, toIdentityError(thrown).message)
      return undefined
    }
  }
  return { refuse, attempt }
}

const SECTION = "token_rules"
const MAX_RULES = 10_000
/** One look-up can find this many for each pattern that matches, of which there are at most 2 × 18. */
const MAX_BUCKET = 256
const MAX_PAIRS = 4096
const MAX_TABLE_PAIRS = 262_144
const PAIRS_MESSAGE = `and subject together list more than ${MAX_PAIRS} pairs`
const BUCKET_MESSAGE = `more than ${MAX_BUCKET} rules have the same audience and the same subject: set these keys apart, or write one rule`
