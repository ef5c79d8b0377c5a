import { verify } from "node:crypto"
import type { SubjectPublicKey } from "./public-key.ts"
import { digestOf, type SignatureAlgorithm, signatureAlgorithmFor } from "./signature-algorithm.ts"

/**
 * True when `signature` over `data` was made with this key. Runs in the thread pool.
 * @param signature ECDSA in ASN.1 form, or RSA PKCS#1 v1.5
 * @param algorithm which hash; by default the one that belongs to the key
 */
export function verifySignature(
  key: SubjectPublicKey,
  data: Uint8Array,
  signature: Uint8Array,
  algorithm: SignatureAlgorithm = signatureAlgorithmFor(key.algorithm),
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    verify(digestOf(algorithm), data, { key: key.keyObject, dsaEncoding: "der" }, signature, (error, valid) => {
      if (error === null) resolve(valid)
      else reject(error)
    })
  })
}
