import type { IdentityError } from "../../core/errors.ts"
import type { Secret } from "../../core/secret.ts"
import type { TrustSnapshot } from "../../core/spiffe/bundle.ts"
import type { SpiffeId, TrustDomain } from "../../core/spiffe/id.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import type { ConsumerReport, JwtIssued } from "../../ports/identity-authority.ts"

/**
 * The identities of one caller, kept current by somebody else. Workload API, SDS and file writers read from it and know
 * nothing of servers or renewal.
 */
export interface IdentitySource {
  current(): IdentityState
  /** Resolves at the next change of {@link current} after this call, or when `signal` aborts. Never rejects. */
  changed(signal: AbortSignal): Promise<void>
  /**
   * JWT-SVIDs for exactly this audience, from the cache while less than half of the life is gone.
   * @param spiffeId `undefined`: for every identity of the caller, default first
   * @throws IdentityError `no-identity` when the caller does not hold `spiffeId`
   */
  fetchJwt(
    audience: readonly string[],
    spiffeId: SpiffeId | undefined,
    signal: AbortSignal,
  ): Promise<readonly JwtIssued[]>
  /** What a consumer acknowledged or refused; replaces what was known of it. `undefined` when it went away. */
  observed(consumer: string, report: ConsumerReport | undefined): void
}

export type IdentityState =
  | { readonly kind: "ready"; readonly view: IdentityView }
  /** Nothing yet, or nothing any more (all expired); the error says why. Its reason is {@link STARTING} while nothing was tried to its end. */
  | { readonly kind: "waiting"; readonly error: IdentityError }
  /** The server was asked and gives this caller no identity. */
  | { readonly kind: "denied"; readonly error: IdentityError }

/** All that the caller may hold right now. Immutable, replaced as a whole; equal content is never a new view. */
export interface IdentityView {
  readonly snapshot: TrustSnapshot
  /** Default first, stable order, never empty, none expired when the view was made. */
  readonly svids: readonly HeldSvid[]
}

export interface HeldSvid {
  readonly spiffeId: SpiffeId
  readonly hint: string
  /** DER, leaf first, without the root. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8, DER. */
  readonly key: Secret
  readonly notAfter: Instant
  /** How long it had to live when it came here; its notBefore may lie before that. `undefined`: whoever holds it does not renew it. */
  readonly life?: Seconds
  readonly federatesWith: readonly TrustDomain[]
}

/** Reason of the error of a source that has just begun: what it waits for may come at any moment. */
export const STARTING = "starting"
