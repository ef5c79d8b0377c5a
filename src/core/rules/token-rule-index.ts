import type { SpiffeId } from "../spiffe/id.ts"
import type { IdPattern } from "./id-pattern.ts"
import { IdTable } from "./id-table.ts"

/** A rule as far as the index looks at it. */
export interface IndexedTokenRule {
  readonly ordinal: number
  readonly spec: { readonly audiences: readonly string[] }
  readonly subjects: readonly IdPattern[]
}

/**
 * Finds the rules for an audience and a subject. A look-up asks the audience's table, and that of rules for any audience, for the
 * subject and each prefix of it, so that it costs the same for ten rules and for ten thousand. @see POL-01 TPO-08
 */
export interface TokenRuleIndex<Rule extends IndexedTokenRule> {
  /** The rules whose audience and subject match: lists that are each in table order. */
  candidates(audience: string, subject: SpiffeId): readonly (readonly Rule[])[]
  /** True when some rule is for the audience, whatever its subject. */
  knows(audience: string): boolean
  /** A rule that has most in common though audience or subject does not match; for explaining a refusal. */
  nearest(audience: string, subject: SpiffeId): Rule | undefined
  /** How many rules the fullest pair of audience and subject pattern has. */
  readonly largestBucket: number
}

/** How many pairs of audience and subject pattern a rule stands in. */
export function pairsOf({ spec, subjects }: Pick<IndexedTokenRule, "spec" | "subjects">): number {
  return spec.audiences.length * subjects.length
}

export function buildTokenRuleIndex<Rule extends IndexedTokenRule>(rules: readonly Rule[]): TokenRuleIndex<Rule> {
  const byAudience = new Map<string, { readonly first: Rule; readonly table: IdTable<Rule> }>()
  const firstBySubject = new IdTable<Rule>()
  const seen = new Set<string>()
  for (const rule of rules) {
    for (const audience of rule.spec.audiences) {
      const bucket = byAudience.get(audience) ?? { first: rule, table: new IdTable<Rule>() }
      byAudience.set(audience, bucket)
      for (const subject of rule.subjects) bucket.table.add(subject, rule)
    }
    for (const subject of rule.subjects) {
      const key = subject.kind === "exact" ? subject.id : `${subject.prefix}/`
      if (!seen.has(key)) firstBySubject.add(subject, rule)
      seen.add(key)
    }
  }
  const forAny = byAudience.get(ANY_AUDIENCE)
  return {
    candidates: (audience, subject) => {
      const own = byAudience.get(audience)?.table.find(subject)
      const any = forAny?.table.find(subject)
      if (own === undefined || any === undefined) return own ?? any ?? []
      return [...own, ...any]
    },
    knows: (audience) => forAny !== undefined || byAudience.has(audience),
    nearest: (audience, subject) => byAudience.get(audience)?.first ?? firstBySubject.find(subject)[0]?.[0] ?? rules[0],
    largestBucket: largest(byAudience.values()),
  }
}

function largest(buckets: Iterable<{ readonly table: { readonly largest: number } }>): number {
  let most = 0
  for (const { table } of buckets) most = Math.max(most, table.largest)
  return most
}

/** In an export: whoever accepts. No accept rule can be for an audience of this name. */
export const ANY_AUDIENCE = "*"
