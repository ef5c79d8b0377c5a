import type { Instant } from "../time.ts"

/** What the platform vouches for, after every check on the evidence has passed. */
export interface AttestedClaims {
  readonly kind: "k8s-token"
  readonly cluster: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly serviceAccountUid: string
  readonly pod: ObjectRef | undefined
  readonly node: ObjectRef | undefined
  /** `jti` of the token, when it has one. */
  readonly tokenId: string | undefined
  readonly expiresAt: Instant
  /** SHA-256 of the token: names the evidence without holding it. */
  readonly evidenceDigest: Uint8Array
  /** True when the platform could not be asked and the documented degraded rule let a renewal pass. @see INV-17 */
  readonly degraded: boolean
}

export interface ObjectRef {
  readonly name: string
  readonly uid: string
}

/**
 * A witness that evidence was verified. Only `app/attest` makes one (the layer test holds that), so whoever has an
 * `Attested` need not ask where the claims come from.
 */
export class Attested {
  readonly claims: AttestedClaims

  private constructor(claims: AttestedClaims) {
    this.claims = claims
  }

  /** For `app/attest` alone. */
  static witness(claims: AttestedClaims): Attested {
    return new Attested(Object.freeze(claims))
  }
}
