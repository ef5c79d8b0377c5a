import type { Seconds } from "../time.ts"
import type { TrustDomain } from "./id.ts"
import type { JwtKeyKind } from "./jwt-key-kind.ts"

/** A public key for JWT-SVIDs, with the members of RFC 7517 and 7518 that a bundle carries. */
export interface JwtAuthority {
  /** RFC 7638 thumbprint; never used again for another key. @see JWKS-07 */
  readonly kid: string
  readonly algorithm: JwtKeyKind["algorithm"]
  /** Public members only: `kty` and the key's own parameters. */
  readonly jwk: Readonly<Record<string, string>>
}

/** What a verifier needs to accept SVIDs of one trust domain. @see TD-01..TD-09 */
export interface TrustBundle {
  readonly trustDomain: TrustDomain
  /** CA certificates, DER. */
  readonly x509Authorities: readonly Uint8Array[]
  readonly jwtAuthorities: readonly JwtAuthority[]
  /** `spiffe_sequence`: changes with every change of content. */
  readonly sequence: number
  readonly refreshHint: Seconds | undefined
}

/** Everything that consumers hold of a trust domain, as of one epoch. Epochs compare within one incarnation only. */
export interface TrustSnapshot {
  readonly epoch: number
  readonly incarnation: string
  readonly own: TrustBundle
  readonly federated: readonly TrustBundle[]
}
