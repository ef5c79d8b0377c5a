import type { TokenBinding, TokenGrantType, TokenProduct, TokenQuestion } from "../policy/token-question.ts"
import type { Seconds } from "../time.ts"

/** The rules about tokens. A token needs one of each: the source exports, and the target accepts. @see TX-19 POL-08 */
export interface TokenRulesSpec {
  readonly exports: readonly ExportRuleSpec[]
  readonly accepts: readonly AcceptRuleSpec[]
}

/** Whose tokens may go where, and who may ask for them. Patterns of IDs are texts for `parseIdPattern`. */
export interface ExportRuleSpec {
  /** Unique among exports; at most 128 bytes. */
  readonly name: string
  /** Whom tokens are about. */
  readonly subjects: readonly string[]
  /** `*` alone: any. */
  readonly audiences: readonly string[]
  readonly modes: readonly TokenMode[]
  /** Who asks; `undefined`: the subject itself, which is the only one that can in mode `self`. */
  readonly clients: readonly string[] | undefined
  /** Who may be the newest actor of a delegation; `undefined`: the clients. @see TX-05 */
  readonly actors: readonly string[] | undefined
  /** Expression over the question; `undefined`: always true. */
  readonly when: string | undefined
}

/** What a target takes, from whom, and what is in it. */
export interface AcceptRuleSpec {
  /** Unique among accepts; at most 128 bytes. */
  readonly name: string
  /** Exact. */
  readonly audiences: readonly string[]
  readonly subjects: readonly string[]
  /** `undefined`: whoever the source lets ask. */
  readonly clients: readonly string[] | undefined
  /** `undefined`: whoever the source lets act. */
  readonly actors: readonly string[] | undefined
  readonly modes: readonly TokenMode[]
  readonly products: readonly TokenProduct[]
  readonly grants: readonly TokenGrantType[]
  /** A token is bound in one of these ways; with `none` among them it may be bound or not. */
  readonly bindings: readonly TokenBinding[]
  /** All that may be asked for. */
  readonly scopes: readonly string[]
  /** What a request without scope gets; some of `scopes`. */
  readonly defaultScopes: readonly string[]
  /** The longest life. */
  readonly ttl: Seconds
  readonly algorithm: "ES256" | "RS256"
  /** @see TX-13 */
  readonly mayOutliveSubject: boolean
  readonly when: string | undefined
}

export type TokenMode = TokenQuestion["mode"]
