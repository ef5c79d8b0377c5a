import type { SpiffeId } from "../spiffe/id.ts"
import type { Seconds } from "../time.ts"
import type { Refusal } from "./grant.ts"

/** What a token request comes to once everything in it is proven and parsed: all that the rules may look at. @see POL-07 */
export interface TokenQuestion {
  readonly grant: TokenGrantType
  readonly product: TokenProduct
  /** Who authenticated at the endpoint. */
  readonly client: SpiffeId
  /** Whom the token will be about; the client itself for `client_credentials`. */
  readonly subject: SpiffeId
  /** Who will act for the subject in the new token, newest first; empty for the subject's own token and for impersonation. */
  readonly actors: readonly SpiffeId[]
  /** `self`: client and subject are the same and nobody acts. */
  readonly mode: "self" | "impersonation" | "delegation"
  /** Not empty, no value twice. Every one must be granted. */
  readonly audiences: readonly string[]
  /** What was asked for; `undefined` when the request has no scope. */
  readonly scopes: readonly string[] | undefined
  /** What the subject token was good for; `undefined` when it says nothing about scope. @see TX-11 */
  readonly subjectScopes: readonly string[] | undefined
  readonly ttl: Seconds | undefined
  /** Proof of possession that the token will be bound to. */
  readonly binding: TokenBinding
}

export type TokenGrantType = "client_credentials" | "token-exchange" | "jwt-bearer"
export type TokenProduct = "access-token" | "jwt-svid" | "x509-svid"
export type TokenBinding = "none" | "dpop" | "mtls"

/** What the rules give for one question. */
export interface TokenGrant {
  readonly kind: "granted"
  /** The pair of rules that covers the whole question: who exports, and who accepts. @see POL-08 */
  readonly exports: string
  readonly accepts: string
  readonly revision: string
  /** What the token will carry; never more than was asked for. */
  readonly scopes: readonly string[]
  /** The longest life. */
  readonly ttl: Seconds
  readonly algorithm: "ES256" | "RS256"
  /** The rule lets the token outlive the subject token. @see TX-13 */
  readonly mayOutliveSubject: boolean
}

export type TokenDecision = TokenGrant | Refusal
