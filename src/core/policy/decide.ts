import type { ClusterBounds } from "../rules/rule.ts"
import type { CompiledRule, RuleTable } from "../rules/rule-table.ts"
import type { Attested, AttestedClaims } from "./attested.ts"
import { DECISION_REASONS, type DecisionReason } from "./decision-reason.ts"
import type { Decision, Grant, Refusal } from "./grant.ts"
import { evaluateRule, type RuleOutcome } from "./rule-outcome.ts"

/** A rule and what it came to in one decision. */
export interface RuleVerdict {
  readonly rule: CompiledRule
  readonly outcome:
    | { readonly kind: "granted"; readonly grant: Grant; readonly hintDropped: boolean }
    | Exclude<RuleOutcome, { readonly kind: "matched" }>
}

/** Which identities the rules give to a caller. Pure: the same claims and table always give the same. @see RUL-01 */
export function decideIdentities(attested: Attested, table: RuleTable): Decision {
  const { claims } = attested
  const bounds = boundsFor(claims, table)
  if (bounds.kind === "refused") return bounds
  const verdicts = judgeRules(table.index.candidates(claims), claims, bounds.bounds, table)
  const grants = verdicts.flatMap(({ outcome }) => (outcome.kind === "granted" ? [outcome.grant] : []))
  return grants.length > 0 ? { kind: "granted", grants } : refusalOf(verdicts, claims, bounds.bounds, table)
}

/** The verdict on each of these rules, in their order, as parts of one decision. */
export function judgeRules(
  rules: readonly CompiledRule[],
  claims: AttestedClaims,
  bounds: ClusterBounds,
  table: RuleTable,
): readonly RuleVerdict[] {
  const ids = new Set<string>()
  const hints = new Set<string>()
  return rules.map((rule): RuleVerdict => {
    const outcome = evaluateRule(rule, bounds, claims)
    if (outcome.kind !== "matched") return { rule, outcome }
    if (ids.has(outcome.id)) return { rule, outcome: refusedRule("duplicate-identity", outcome.id) }
    if (ids.size === MAX_IDENTITIES) return { rule, outcome: refusedRule("too-many-identities", outcome.id) }
    ids.add(outcome.id)
    const hintDropped = hints.has(rule.spec.hint)
    if (rule.spec.hint !== "") hints.add(rule.spec.hint)
    return { rule, outcome: { kind: "granted", grant: grantOf(rule, outcome, hintDropped, table), hintDropped } }
  })
}

/** The bounds of the caller's cluster, or the refusal of a caller that is outside of them. @see RUL-08 */
export function boundsFor(
  claims: AttestedClaims,
  table: RuleTable,
): { readonly kind: "bounded"; readonly bounds: ClusterBounds } | Refusal {
  const bounds = table.clusters.get(claims.cluster)
  if (bounds === undefined) return refusal("unknown-cluster", undefined)
  if (bounds.namespaces?.includes(claims.namespace) === false) return refusal("outside-cluster-bounds", undefined)
  return { kind: "bounded", bounds }
}

function refusalOf(
  verdicts: readonly RuleVerdict[],
  claims: AttestedClaims,
  bounds: ClusterBounds,
  table: RuleTable,
): Refusal {
  for (const { rule, outcome } of verdicts) {
    if (outcome.kind === "refused") return refusal(outcome.reason, { rule: rule.spec.name, condition: outcome.detail })
  }
  const nearest = verdicts[0]?.rule ?? table.index.nearest(claims)
  if (nearest === undefined) return refusal("no-rule-matched", undefined)
  const outcome = evaluateRule(nearest, bounds, claims)
  const condition = outcome.kind === "matched" ? "" : outcome.detail
  return refusal("no-rule-matched", { rule: nearest.spec.name, condition })
}

function grantOf(
  { spec }: CompiledRule,
  { id, dnsNames }: Extract<RuleOutcome, { readonly kind: "matched" }>,
  hintDropped: boolean,
  { revision }: RuleTable,
): Grant {
  return {
    rule: spec.name,
    revision,
    id,
    hint: hintDropped ? "" : spec.hint,
    x509Ttl: spec.x509Ttl,
    jwtTtl: spec.jwtTtl,
    dnsNames,
    audiences: spec.audiences,
    federatesWith: spec.federatesWith,
  }
}

function refusedRule(reason: DecisionReason, id: string): Extract<RuleOutcome, { readonly kind: "refused" }> {
  return { kind: "refused", reason, detail: `${id}: ${DECISION_REASONS[reason].message}` }
}

function refusal(reason: DecisionReason, nearest: Refusal["nearest"]): Refusal {
  return { kind: "refused", reason, ...DECISION_REASONS[reason], nearest }
}

const MAX_IDENTITIES = 32
