import { hash } from "node:crypto"
import type { CompactJws } from "../../core/jose/compact.ts"
import type { JwsVerifier, VerificationKey } from "../../ports/jws.ts"

/**
 * A verifier that remembers which key verified which token, for tokens that come again and again, as JWT-SVIDs do (SCA-03). What
 * is remembered holds for ever: it counts only while that very key is among those that are asked about. At most `max` tokens,
 * of which the longest unused is forgotten first. @see SCA-11
 */
export function rememberVerified(verifier: JwsVerifier, max: number): JwsVerifier {
  const verifiedBy = new Map<string, VerificationKey>()
  return {
    verify: async (jws, keys) => {
      const name = nameOf(jws)
      const known = verifiedBy.get(name)
      if (known !== undefined && keys.includes(known)) {
        verifiedBy.delete(name)
        verifiedBy.set(name, known)
        return
      }
      await verifier.verify(jws, keys)
      const key = onlyCandidate(jws, keys)
      if (key === undefined) return
      verifiedBy.set(name, key)
      if (verifiedBy.size > max) forgetOldest(verifiedBy)
    },
  }
}

/** Names every byte that was signed, and the signature, whose length the key decides. */
function nameOf({ signingInput, signature }: CompactJws): string {
  return hash("sha256", Buffer.concat([signingInput, signature]), "base64")
}

/** The key that verified the token, when it can have been one only. */
function onlyCandidate({ header }: CompactJws, keys: readonly VerificationKey[]): VerificationKey | undefined {
  const [key, ...others] = keys.filter(({ kid }) => kid !== undefined && kid === header.kid)
  return others.length === 0 && key?.algorithm === header.alg ? key : undefined
}

function forgetOldest(verifiedBy: Map<string, VerificationKey>): void {
  const oldest = verifiedBy.keys().next()
  if (!oldest.done) verifiedBy.delete(oldest.value)
}
