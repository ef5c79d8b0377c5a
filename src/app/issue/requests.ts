import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Instant, Seconds } from "../../core/time.ts"

/** What every request for a credential has in common. */
export interface CredentialRequest {
  /** The platform token. */
  readonly token: string
  /** The identity wanted; `undefined` for the caller's default one. */
  readonly spiffeId: SpiffeId | undefined
  /** The lifetime wanted; never more than the rule gives. `undefined`: what the rule gives. */
  readonly ttl: Seconds | undefined
  /** Names the request in log, audit and replies. */
  readonly requestId: string
}

export interface X509Request extends CredentialRequest {
  readonly key: KeyEvidence
  /** Epoch of the bundles that the caller says to hold and to have handed on; absent when it says nothing. */
  readonly bundleEpoch?: number
  /** It says so over a connection that only who trusts the root of a rotation completes. @see EV-4 */
  readonly proven?: boolean
  /** Serial of the certificate that this one is to replace; absent when the caller holds none. @see LIN-01 */
  readonly renews?: string | undefined
  /** This process asks, for a proxy that it keeps the key for. */
  readonly keptHere?: true
}

/** A public key with its proof of possession. Nothing else of it is used. @see INV-08 */
export type KeyEvidence =
  | { readonly kind: "csr"; readonly der: Uint8Array }
  | { readonly kind: "proven-key"; readonly publicKey: Uint8Array; readonly proof: Uint8Array }

export interface X509Svid {
  readonly spiffeId: SpiffeId
  readonly hint: string
  readonly serial: string
  /** DER, leaf first, without the root. */
  readonly chain: readonly Uint8Array[]
  readonly notAfter: Instant
  /** Verifiers of the chain need the bundle of at least this epoch. */
  readonly epoch: number
}

export interface JwtRequest extends CredentialRequest {
  readonly audience: readonly string[]
}

export interface JwtSvid {
  readonly spiffeId: SpiffeId
  readonly hint: string
  /** JWS compact serialization. */
  readonly token: string
  readonly expiresAt: Instant
}

export type IssueX509 = (request: X509Request, signal: AbortSignal) => Promise<X509Svid>
export type IssueJwt = (request: JwtRequest, signal: AbortSignal) => Promise<JwtSvid>
