import { encodeBitString, encodeSequence, TAG } from "./der.ts"
import { DerReader } from "./der-reader.ts"

/**
 * Put a certificate together from the TBSCertificate that was signed and its signature. The algorithm outside is a copy of
 * the one inside, so the two cannot differ.
 * @param signature ECDSA in ASN.1 form, or RSA
 */
export function assembleCertificate(tbs: Uint8Array, signature: Uint8Array): Uint8Array {
  const reader = new DerReader(tbs).enter(TAG.sequence)
  reader.element(VERSION)
  reader.element(TAG.integer)
  return encodeSequence(tbs, reader.element(TAG.sequence), encodeBitString(signature))
}

const VERSION = 0xa0
