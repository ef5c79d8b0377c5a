import type { CompactJws } from "../core/jose/compact.ts"

/** The public keys with which a cluster signs service-account tokens. */
export interface ClusterKeys {
  /**
   * Resolves when one of the cluster's keys verifies the signature. Keys are fetched and refreshed behind this; an unknown
   * `kid` leads to at most one refresh per cool-down. @throws IdentityError `unauthenticated` when no key verifies it;
   * `attestor-down` when keys cannot be had
   */
  verify(jws: CompactJws, signal: AbortSignal): Promise<void>
}

/** The answer of a cluster to TokenReview. */
export interface TokenReviewResult {
  readonly authenticated: boolean
  /** Text of the API server; for the log only. */
  readonly error: string
  readonly username: string
  readonly uid: string
  readonly audiences: readonly string[]
  /** `authentication.kubernetes.io/...` and others, as returned. */
  readonly extra: Readonly<Record<string, readonly string[]>>
}

/** Asks a cluster whether a token is still good. Always with audiences, never without. @see INV-15 */
export interface TokenReviewer {
  /** @throws IdentityError `attestor-down` when the cluster did not answer */
  review(token: string, audiences: readonly string[], signal: AbortSignal): Promise<TokenReviewResult>
}
