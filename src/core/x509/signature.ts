import { createPublicKey, type KeyObject, verify } from "node:crypto"
import type { Verdict } from "./public-key.ts"
import { digestOf, type SignatureAlgorithm } from "./signature-algorithm.ts"

/**
 * Import the key `spki` (SubjectPublicKeyInfo, DER) and verify that it made `signature` over `data`.
 * @param signature ECDSA in ASN.1 form, or RSA PKCS#1 v1.5
 */
export type VerifySignature = (
  spki: Uint8Array,
  data: Uint8Array,
  signature: Uint8Array,
  algorithm: SignatureAlgorithm,
) => Promise<Verdict>

/** In libuv's thread pool. */
export const verifyInPool: VerifySignature = (spki, data, signature, algorithm) => {
  let key: KeyObject
  try {
    const der = Buffer.from(spki.buffer, spki.byteOffset, spki.byteLength)
    key = createPublicKey({ key: der, format: "der", type: "spki" })
  } catch {
    return Promise.resolve("wrong-key")
  }
  return new Promise((resolve, reject) => {
    verify(digestOf(algorithm), data, { key, dsaEncoding: "der" }, signature, (error, valid) => {
      if (error === null) resolve(valid ? "valid" : "wrong-signature")
      else reject(error)
    })
  })
}
