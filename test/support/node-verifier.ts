import { createPublicKey, verify } from "node:crypto"
import { IdentityError } from "../../src/core/errors.ts"
import type { JwsVerifier } from "../../src/ports/jws.ts"

/** A {@link JwsVerifier} by node:crypto, for ES256 and RS256. */
export const nodeVerifier: JwsVerifier = {
  async verify(jws, keys) {
    const { alg, kid } = jws.header
    const candidates = keys.filter((key) => key.algorithm === alg && (kid === undefined || key.kid === kid))
    if (candidates.length === 0) throw new IdentityError("unauthenticated", "no key", { reason: "key-unknown" })
    for (const { jwk } of candidates) {
      const key = createPublicKey({ key: { ...jwk }, format: "jwk" })
      if (verify("sha256", jws.signingInput, { key, dsaEncoding: "ieee-p1363" }, jws.signature)) return
    }
    throw new IdentityError("unauthenticated", "bad signature", { reason: "signature-invalid" })
  },
}
