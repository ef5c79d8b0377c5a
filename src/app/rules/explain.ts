import { IdentityError } from "../../core/errors.ts"
import type { Attested, AttestedClaims } from "../../core/policy/attested.ts"
import { boundsFor, decideIdentities, judgeRules } from "../../core/policy/decide.ts"
import type { Decision } from "../../core/policy/grant.ts"
import type { RuleTable } from "../../core/rules/rule-table.ts"
import type { AttestToken } from "../attest/attest-token.ts"

/** Why a token gets the identities it gets, or none. */
export type Explanation =
  | { readonly kind: "not-attested"; readonly error: IdentityError }
  | {
      readonly kind: "decided"
      readonly claims: AttestedClaims
      /** What the server would decide. */
      readonly decision: Decision
      /** Every rule in table order; none when the caller is outside its cluster's bounds. */
      readonly rules: readonly ExplainedRule[]
    }

export interface ExplainedRule {
  readonly rule: string
  readonly verdict: "granted" | "not-matched" | "refused"
  /** The identity, the first condition that failed with the value it saw, or the reason of the refusal. */
  readonly detail: string
}

export interface ExplainDeps {
  readonly attest: AttestToken
  readonly rules: () => RuleTable
}

/** Replay attestation and decision for one token. Nothing is issued. @see SW-10 RUL-13 */
export type ExplainToken = (token: string, signal: AbortSignal) => Promise<Explanation>

export function makeExplainToken({ attest, rules }: ExplainDeps): ExplainToken {
  return async (token, signal) => {
    try {
      return explainAttested(await attest(token, signal), rules())
    } catch (thrown) {
      if (!(thrown instanceof IdentityError)) throw thrown
      return { kind: "not-attested", error: thrown }
    }
  }
}

/** The decision on attested claims, with the part that each rule has in it. */
export function explainAttested(attested: Attested, table: RuleTable): Explanation {
  const { claims } = attested
  const decision = decideIdentities(attested, table)
  const bounded = boundsFor(claims, table)
  if (bounded.kind === "refused") return { kind: "decided", claims, decision, rules: [] }
  const verdicts = judgeRules(table.rules, claims, bounded.bounds, table)
  const rules = verdicts.map(({ rule, outcome }): ExplainedRule => {
    if (outcome.kind !== "granted") return { rule: rule.spec.name, verdict: outcome.kind, detail: outcome.detail }
    const hint = outcome.hintDropped ? ` (without its hint "${rule.spec.hint}", which an earlier rule has)` : ""
    return { rule: rule.spec.name, verdict: "granted", detail: `${outcome.grant.id}${hint}` }
  })
  return { kind: "decided", claims, decision, rules }
}
