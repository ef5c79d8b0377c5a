import type { Condition, ConditionInputs } from "./condition.ts"
import type { IdPattern } from "./id-pattern.ts"
import type { IdTable } from "./id-table.ts"
import type { AcceptRuleSpec, ExportRuleSpec } from "./token-rule.ts"
import type { TokenRuleIndex } from "./token-rule-index.ts"

/** The rules about tokens, in order, and found by audience and subject. */
export interface TokenRules {
  readonly exports: readonly CompiledExport[]
  readonly accepts: readonly CompiledAccept[]
  readonly exportIndex: TokenRuleIndex<CompiledExport>
  readonly acceptIndex: TokenRuleIndex<CompiledAccept>
  /** Those of which an accept says that they verify RS256. @see JWKS-12 */
  readonly rsaAudiences: ReadonlySet<string>
}

export type CompiledExport = CompiledTokenRule<ExportRuleSpec>
export type CompiledAccept = CompiledTokenRule<AcceptRuleSpec>

export interface CompiledTokenRule<Spec> {
  readonly ordinal: number
  readonly spec: Spec
  readonly subjects: readonly IdPattern[]
  /** `undefined`: for an export the subject alone, for an accept whoever the source lets ask. */
  readonly clients: IdSet | undefined
  /** For an accept, `undefined`: whoever the source lets act. */
  readonly actors: IdSet | undefined
  readonly condition: Condition<ConditionInputs["token"]> | undefined
}

/** Patterns, and the same as a table. */
export interface IdSet {
  readonly patterns: readonly IdPattern[]
  readonly table: IdTable<true>
}
