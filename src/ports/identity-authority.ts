import type { IdentityError } from "../core/errors.ts"
import type { TrustSnapshot } from "../core/spiffe/bundle.ts"
import type { SpiffeId, TrustDomain } from "../core/spiffe/id.ts"
import type { Instant, Seconds } from "../core/time.ts"
import type { WorkloadKey } from "./keys.ts"

/**
 * An Assay server as an agent sees it. The caller's proof (its platform token) is the adapter's matter, and is read anew for
 * every call. Every method throws IdentityError: `not-ready` when the server cannot be reached.
 */
export interface IdentityAuthority {
  /** One result per order, in order. Throws only when the whole call failed. At most 64 orders. */
  issueX509(orders: readonly X509Order[], signal: AbortSignal): Promise<readonly Outcome<X509Issued>[]>
  issueJwt(orders: readonly JwtOrder[], signal: AbortSignal): Promise<readonly Outcome<JwtIssued>[]>
  /** The current snapshot at once, then the newest on each change, until the stream ends or `signal` aborts. */
  subscribe(signal: AbortSignal): Subscription
}

export type Outcome<T> =
  | { readonly kind: "issued"; readonly value: T }
  | { readonly kind: "failed"; readonly error: IdentityError }

export interface X509Order {
  readonly spiffeId: SpiffeId
  readonly key: WorkloadKey
  /** Epoch of the newest snapshot that was adopted and handed on to all who cannot acknowledge; absent: says nothing. @see EV-3 */
  readonly bundleEpoch?: number
  /** Serial of the certificate that was received last for this identity; absent when none is held. @see LIN-10 */
  readonly renews?: string | undefined
}

export interface X509Issued {
  readonly spiffeId: SpiffeId
  readonly hint: string
  /** Of the leaf: lowercase hex without sign octet. */
  readonly serial: string
  /** DER, leaf first, without the root. */
  readonly chain: readonly Uint8Array[]
  readonly notAfter: Instant
  /** Deliver it only together with, or after, a snapshot of at least this epoch. */
  readonly epoch: number
}

export interface JwtOrder {
  readonly spiffeId: SpiffeId
  readonly audience: readonly string[]
}

export interface JwtIssued {
  readonly spiffeId: SpiffeId
  readonly hint: string
  /** JWS compact serialization. */
  readonly token: string
  readonly expiresAt: Instant
}

export interface Subscription {
  /** Ends when the server closed the stream (come back at once); throws IdentityError when it failed (back off). */
  readonly updates: AsyncIterable<AuthorityUpdate>
  /** What was done with a snapshot. `nackReason` undefined: adopted. */
  acknowledge(epoch: number, nackReason: string | undefined): void
  /** What the consumers behind this agent hold: the full list each time, and how many more there are than a list takes. */
  report(consumers: readonly ConsumerReport[], unlisted: number): void
}

export type AuthorityUpdate =
  | { readonly kind: "snapshot"; readonly snapshot: TrustSnapshot; readonly entitlements: readonly Entitlement[] }
  | { readonly kind: "renew"; readonly within: Seconds }
  | { readonly kind: "evict"; readonly reason: string }
  /** This key is banned: do without it at once. SHA-256 of its SubjectPublicKeyInfo, lowercase hex. */
  | { readonly kind: "evict-key"; readonly key: string }

/** An identity that the caller may ask for. */
export interface Entitlement {
  readonly spiffeId: SpiffeId
  readonly hint: string
  readonly x509Ttl: Seconds
  readonly jwtTtl: Seconds
  readonly federatesWith: readonly TrustDomain[]
}

export interface ConsumerReport {
  /** Envoy node id, or a description of the peer. At most 253 bytes. */
  readonly name: string
  readonly kind: "sds" | "workload-api" | "file"
  /** Epoch its live stream has acknowledged; 0 for none. */
  readonly epoch: number
  readonly nackReason: string | undefined
}
