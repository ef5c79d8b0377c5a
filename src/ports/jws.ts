import type { JwsAlgorithm } from "../core/jose/algorithm.ts"
import type { CompactJws } from "../core/jose/compact.ts"

/** A public key and the one algorithm it may be used with. Keep the object: its import is cached by identity. */
export interface VerificationKey {
  readonly kid: string | undefined
  readonly algorithm: JwsAlgorithm
  /** Public members of the JWK. */
  readonly jwk: Readonly<Record<string, string>>
}

/** Verifies signatures. Knows nothing of claims. */
export interface JwsVerifier {
  /**
   * Resolves when one of `keys` verifies the signature. Candidates are the keys with the token's `alg` and, when both have
   * one, its `kid`; at most 8 are tried. A key that the key policy refuses is no key.
   * @throws IdentityError `unauthenticated` with reason `key-unknown` when there is no candidate, `signature-invalid` when
   * none verifies @see JOS-01..JOS-05
   */
  verify(jws: CompactJws, keys: readonly VerificationKey[]): Promise<void>
}
