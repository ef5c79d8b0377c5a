import type { TrustDomain } from "../spiffe/id.ts"
import { isWithinPattern } from "./id-pattern.ts"
import { PatternOverlap } from "./pattern-overlap.ts"
import type { RuleProblem } from "./rule.ts"
import { rightsOf } from "./token-rights.ts"
import type { AcceptRuleSpec, ExportRuleSpec } from "./token-rule.ts"
import { ANY_AUDIENCE } from "./token-rule-index.ts"
import type { CompiledAccept, CompiledExport, CompiledTokenRule, IdSet, TokenRules } from "./token-rule-table.ts"

/** Rules that decide nothing: an earlier one covers all that they do, or the other side has nothing for them. @see TPO-09 */
export function* tokenWarnings({ exports, accepts }: TokenRules, trustDomain: TrustDomain): Generator<RuleProblem> {
  const budget = { left: MAX_COMPARISONS }
  const [sources, targets] = [byAudience(exports, (rule) => rule.spec.audiences), byAudience(accepts, withAny)]
  yield* shadowed("exports", exports, sources, budget)
  yield* shadowed("accepts", accepts, targets, budget)
  for (const rule of exports) {
    const met = partners(rule.spec.audiences, rule, targets)
    if (hasAny(met, (accept) => isPair(rule, accept, trustDomain), budget)) continue
    yield problem("exports", rule, "decides nothing: no accept takes what it lets go")
  }
  for (const rule of accepts) {
    const met = partners(withAny(rule), rule, sources)
    if (hasAny(met, (source) => isPair(source, rule, trustDomain), budget)) continue
    yield problem("accepts", rule, "decides nothing: no export lets go what it takes")
  }
}

type AnyRule = CompiledTokenRule<ExportRuleSpec> | CompiledTokenRule<AcceptRuleSpec>

interface Budget {
  left: number
}

type ByAudience<Rule> = ReadonlyMap<string, PatternOverlap<Rule>>

function* shadowed<Rule extends AnyRule>(
  list: "exports" | "accepts",
  rules: readonly Rule[],
  index: ByAudience<Rule>,
  budget: Budget,
): Generator<RuleProblem> {
  for (const rule of rules) {
    const [audience = ""] = rule.spec.audiences
    const [subject] = rule.subjects
    if (subject === undefined) continue
    const around = (list === "exports" ? [audience, ANY_AUDIENCE] : [audience])
      .flatMap((name) => [...(index.get(name)?.around(subject) ?? [])])
      .filter((other) => other.ordinal < rule.ordinal)
    budget.left -= around.length
    if (budget.left < 0) return
    const first = around.find((other) => covers(other, rule))
    if (first === undefined) continue
    yield problem(list, rule, `decides nothing: "${first.spec.name}" before it covers all that it does`)
  }
}

/** The rules of the other side that are for one of the audiences and have a subject in common. */
function* partners<Rule>(audiences: readonly string[], rule: AnyRule, index: ByAudience<Rule>): Generator<Rule> {
  for (const audience of audiences) {
    for (const subject of rule.subjects) yield* index.get(audience)?.find(subject) ?? []
  }
}

/** True, too, when the budget ends: nothing is warned of that is not certain. */
function hasAny<Rule>(rules: Iterable<Rule>, matches: (rule: Rule) => boolean, budget: Budget): boolean {
  for (const rule of rules) if (--budget.left < 0 || matches(rule)) return true
  return budget.left < 0
}

function isPair(source: CompiledExport, target: CompiledAccept, trustDomain: TrustDomain): boolean {
  return rightsOf(source, target, trustDomain).next().done === false
}

function withAny({ spec }: AnyRule): readonly string[] {
  return [...spec.audiences, ANY_AUDIENCE]
}

function byAudience<Rule extends AnyRule>(
  rules: readonly Rule[],
  audiencesOf: (rule: Rule) => readonly string[],
): ByAudience<Rule> {
  const entries = rules.flatMap((rule) =>
    audiencesOf(rule).flatMap((audience) => rule.subjects.map((subject) => ({ audience, subject, rule }))),
  )
  const groups = Map.groupBy(entries, ({ audience }) => audience)
  return new Map(
    [...groups].map(([audience, found]) => [
      audience,
      new PatternOverlap(found.map(({ subject, rule }) => [subject, rule] as const)),
    ]),
  )
}

/** True when `outer` covers every question that `inner` covers. Both are of the same side. */
function covers(outer: AnyRule, inner: AnyRule): boolean {
  if (outer.spec.when !== undefined && outer.spec.when !== inner.spec.when) return false
  const forAll = outer.spec.audiences.includes(ANY_AUDIENCE)
  if (!forAll && !isSubset(inner.spec.audiences, outer.spec.audiences)) return false
  if (!isSubset(inner.spec.modes, outer.spec.modes) || !isWithin(inner.subjects, outer.subjects)) return false
  if (!isWithinSet(inner.clients, outer.clients) || !isWithinSet(inner.actors, outer.actors)) return false
  return !isAccept(outer) || !isAccept(inner) || takes(outer.spec, inner.spec)
}

function takes(outer: AcceptRuleSpec, inner: AcceptRuleSpec): boolean {
  if (!isSubset(inner.products, outer.products) || !isSubset(inner.grants, outer.grants)) return false
  if (!isSubset(inner.scopes, outer.scopes)) return false
  return (
    outer.bindings.includes("none") || (isSubset(inner.bindings, outer.bindings) && !inner.bindings.includes("none"))
  )
}

function isAccept(rule: AnyRule): rule is CompiledAccept {
  return "products" in rule.spec
}

function isWithinSet(inner: IdSet | undefined, outer: IdSet | undefined): boolean {
  if (outer === undefined) return true
  return inner !== undefined && isWithin(inner.patterns, outer.patterns)
}

function isWithin(inner: IdSet["patterns"], outer: IdSet["patterns"]): boolean {
  return inner.every((pattern) => outer.some((around) => isWithinPattern(pattern, around)))
}

function isSubset<T>(inner: readonly T[], outer: readonly T[]): boolean {
  return inner.every((item) => outer.includes(item))
}

function problem(
  list: "exports" | "accepts",
  { ordinal }: CompiledExport | CompiledAccept,
  message: string,
): RuleProblem {
  return { path: ["token_rules", list, ordinal], message }
}

/** So that a table which is made to be slow holds up no reload; beyond it nothing more is warned of. */
const MAX_COMPARISONS = 1_000_000
