/** What a condition can read of the attested caller. A key that is not there is not attested. */
export interface ConditionSubject {
  readonly cluster: string
  readonly namespace: string
  readonly service_account: string
  /** Present for a pod-bound token only. */
  readonly pod?: ConditionObject
  /** Present for a node-bound token only. */
  readonly node?: ConditionObject
  /** True when a renewal goes on by the degraded rule. @see INV-17 */
  readonly degraded: boolean
}

export interface ConditionObject {
  readonly name: string
  readonly uid: string
}

/** `error`: the expression could not be decided on this subject, which is no match. @see POL-05 */
export type ConditionResult =
  | { readonly kind: "matched" }
  | { readonly kind: "not-matched" }
  | { readonly kind: "error"; readonly reason: string }

/** A checked expression. Evaluating it has no effects, never throws, and costs at most in proportion to its length. */
export type Condition = (subject: ConditionSubject) => ConditionResult

/** Parse and type-check an expression over `subject`. @throws IdentityError `malformed`, naming the column */
export type CompileCondition = (expression: string) => Condition
