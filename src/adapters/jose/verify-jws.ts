import { createPublicKey, type KeyObject } from "node:crypto"
import { JOSEError } from "jose/errors"
import { flattenedVerify } from "jose/jws/flattened/verify"
import { IdentityError } from "../../core/errors.ts"
import type { JwsAlgorithm } from "../../core/jose/algorithm.ts"
import type { CompactJws } from "../../core/jose/compact.ts"
import { parsePublicKey } from "../../core/x509/public-key.ts"
import type { JwsVerifier, VerificationKey } from "../../ports/jws.ts"

/** Verifies with `jose`. What that library lets through, framing (core/jose/compact.ts) and key policy refuse here. @see COR-02 */
export function makeJwsVerifier(): JwsVerifier {
  const imported = new WeakMap<VerificationKey, Imported>()
  const load = (key: VerificationKey): KeyObject | undefined => {
    const known = imported.get(key)
    if (known !== undefined) return known.keyObject
    const keyObject = importKey(key)
    imported.set(key, { keyObject })
    return keyObject
  }
  return {
    verify: async (jws, keys) => {
      const usable = keys
        .filter((key) => isCandidate(key, jws))
        .slice(0, MAX_CANDIDATES)
        .map(load)
        .filter((key) => key !== undefined)
      if (usable.length === 0) throw unauthenticated("key-unknown", "no key is known for the token")
      for (const key of usable) {
        if (await verifies(jws, key)) return
      }
      throw unauthenticated("signature-invalid", "no key verifies the token")
    },
  }
}

interface Imported {
  /** `undefined`: refused by the key policy. */
  readonly keyObject: KeyObject | undefined
}

function isCandidate(key: VerificationKey, { header }: CompactJws): boolean {
  const kidFits = header.kid === undefined || key.kid === undefined || key.kid === header.kid
  return key.algorithm === header.alg && kidFits
}

/** `undefined` for a key that is not valid, not of the algorithm's kind, or refused by the key policy. @see INV-09 */
function importKey({ algorithm, jwk }: VerificationKey): KeyObject | undefined {
  const { kty, crv } = KEY_KIND[algorithm]
  if (jwk["kty"] !== kty || jwk["crv"] !== crv) return undefined
  try {
    const key = createPublicKey({ key: { ...jwk }, format: "jwk" })
    // The key policy knows no P-521, which certificates cannot have; the curve is all there is to check about it.
    if (crv !== "P-521") parsePublicKey(key.export({ type: "spki", format: "der" }))
    return key
  } catch {
    return undefined
  }
}

async function verifies(jws: CompactJws, key: KeyObject): Promise<boolean> {
  const [header = "", payload = ""] = Buffer.from(jws.signingInput).toString("latin1").split(".")
  const signature = Buffer.from(jws.signature).toString("base64url")
  try {
    await flattenedVerify({ protected: header, payload, signature }, key, { algorithms: [jws.header.alg] })
    return true
  } catch (thrown) {
    if (thrown instanceof JOSEError) return false
    throw thrown
  }
}

function unauthenticated(reason: "key-unknown" | "signature-invalid", message: string): IdentityError {
  return new IdentityError("unauthenticated", message, { reason })
}

const RSA = { kty: "RSA", crv: undefined } as const
const KEY_KIND = {
  ES256: { kty: "EC", crv: "P-256" },
  ES384: { kty: "EC", crv: "P-384" },
  ES512: { kty: "EC", crv: "P-521" },
  RS256: RSA,
  RS384: RSA,
  RS512: RSA,
  PS256: RSA,
  PS384: RSA,
  PS512: RSA,
} as const satisfies Record<JwsAlgorithm, { readonly kty: string; readonly crv: string | undefined }>
/** Tokens without `kid`, or keys without, could make us try many. */
const MAX_CANDIDATES = 8
