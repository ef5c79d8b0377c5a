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

/** What a condition of a token rule can read: the question, and the one audience that is being judged. @see POL-07 */
export interface TokenConditionInput {
  readonly subject: ConditionParty
  readonly client: ConditionParty
  /** The newest actor alone; those before it are history. Without members when nobody acts. @see TX-05 */
  readonly actor: ConditionParty | Record<string, never>
  readonly request: {
    readonly grant: string
    readonly product: string
    readonly mode: string
    readonly audience: string
    readonly binding: string
    /** Absent when the request has no scope. */
    readonly scopes?: readonly string[]
    /** Seconds; absent when the request names none. */
    readonly ttl?: bigint
  }
}

export interface ConditionParty {
  /** The SPIFFE ID. */
  readonly id: string
  readonly trust_domain: string
  /** With its leading slash. */
  readonly path: string
}

/** What expressions are over, by the kind of rule. */
export interface ConditionInputs {
  /** Identity rules. */
  readonly caller: { readonly subject: ConditionSubject }
  /** Token rules. */
  readonly token: TokenConditionInput
}

/** A checked expression. Evaluating it has no effects, never throws, and costs at most in proportion to its length. */
export type Condition<Input = ConditionInputs["caller"]> = (input: Input) => ConditionResult

/** Parse and type-check an expression. @throws IdentityError `malformed`, naming the column */
export type CompileCondition = <Kind extends keyof ConditionInputs>(
  expression: string,
  over: Kind,
) => Condition<ConditionInputs[Kind]>
