import type { TrustDomain } from "../spiffe/id.ts"
import type { Condition } from "./condition.ts"
import type { ClusterBounds, RuleSpec } from "./rule.ts"
import type { RuleIndex } from "./rule-index.ts"
import type { Template } from "./template.ts"
import type { TokenRules } from "./token-rule-table.ts"

/** Rules that were checked as a whole; what is in force is swapped as a whole. @see POL-05 */
export interface RuleTable {
  /** Names the content: equal tables have equal revisions, and no others do. */
  readonly revision: string
  readonly trustDomain: TrustDomain
  /** In order; a rule's place is its `ordinal`. */
  readonly rules: readonly CompiledRule[]
  readonly clusters: ReadonlyMap<string, ClusterBounds>
  readonly index: RuleIndex
  readonly tokens: TokenRules
}

export interface CompiledRule {
  readonly ordinal: number
  readonly spec: RuleSpec
  /** Template of the whole ID, with scheme and trust domain. */
  readonly id: Template
  readonly dnsNames: readonly Template[]
  readonly condition: Condition | undefined
}
