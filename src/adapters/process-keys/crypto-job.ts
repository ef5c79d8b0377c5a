import { createPublicKey, type KeyObject, sign, verify } from "node:crypto"
import type { Verdict } from "../../core/x509/public-key.ts"
import type { KeyAlgorithm } from "../../ports/keys.ts"

/** What the crypto thread is asked. One message is a group of these; the answers come in order. */
export type CryptoJob =
  | { readonly kind: "make"; readonly algorithm: KeyAlgorithm }
  | { readonly kind: "load"; readonly algorithm: KeyAlgorithm; readonly pkcs8: Uint8Array }
  | { readonly kind: "forget"; readonly key: number }
  | { readonly kind: "sign"; readonly key: number; readonly data: Uint8Array; readonly form: "der" | "p1363" }
  | {
      readonly kind: "verify"
      /** SubjectPublicKeyInfo, DER. */
      readonly spki: Uint8Array
      readonly digest: Digest
      readonly data: Uint8Array
      readonly signature: Uint8Array
    }

/** Name of a hash, as node:crypto has it. */
export type Digest = "sha256" | "sha384" | "sha512"

export type CryptoAnswer =
  | { readonly kind: "key"; readonly key: number; readonly publicKey: Uint8Array }
  | { readonly kind: "signature"; readonly signature: Uint8Array }
  | { readonly kind: "forgotten" }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  /** A bug, or a key that is none. The text is for the log and never of a private key. */
  | { readonly kind: "failed"; readonly message: string }

/** @throws Error when an RSA signature does not verify: one faulty one gives the key away. @see ISS-07 */
export function signNow(
  privateKey: KeyObject,
  algorithm: KeyAlgorithm,
  data: Uint8Array,
  form: "der" | "p1363",
): Buffer {
  const signature = sign(HASHES[algorithm], data, { key: privateKey, dsaEncoding: DSA_ENCODING[form] })
  const rsa = algorithm === "rsa-2048" || algorithm === "rsa-4096"
  if (rsa && !verify(HASHES[algorithm], data, createPublicKey(privateKey), signature)) {
    throw new Error("RSA signature does not verify")
  }
  return signature
}

/** Importing the key is what shows that its point lies on the curve. It is no object of its own here: those cost more to forget. */
export function verifyNow(spki: Uint8Array, digest: Digest, data: Uint8Array, signature: Uint8Array): Verdict {
  const key = Buffer.from(spki.buffer, spki.byteOffset, spki.byteLength)
  try {
    const valid = verify(digest, data, { key, format: "der", type: "spki", dsaEncoding: "der" }, signature)
    return valid ? "valid" : "wrong-signature"
  } catch {
    return "wrong-key" // all else that is wrong with a signature is an answer
  }
}

export const HASHES = {
  "ec-p256": "sha256",
  "ec-p384": "sha384",
  "rsa-2048": "sha256",
  "rsa-4096": "sha256",
} as const satisfies Record<KeyAlgorithm, string>
const DSA_ENCODING = { der: "der", p1363: "ieee-p1363" } as const
