import { TAG } from "./der.ts"
import { DerReader } from "./der-reader.ts"
import { DerWriter } from "./der-writer.ts"

/**
 * Put a certificate together from the TBSCertificate that was signed and its signature. The algorithm outside is a copy of
 * the one inside, so the two cannot differ.
 * @param signature ECDSA in ASN.1 form, or RSA
 */
export function assembleCertificate(tbs: Uint8Array, signature: Uint8Array): Uint8Array {
  const reader = new DerReader(tbs).enter(TAG.sequence)
  reader.skip(VERSION)
  reader.skip(TAG.integer)
  const algorithm = reader.element(TAG.sequence)
  const der = new DerWriter(tbs.length + algorithm.length + signature.length + OTHER_OCTETS)
  const end = der.end
  der.put(signature)
  der.put(NO_UNUSED_BITS)
  der.wrap(TAG.bitString, end)
  der.put(algorithm)
  der.put(tbs)
  der.wrap(TAG.sequence, end)
  return der.finish()
}

const VERSION = 0xa0
const NO_UNUSED_BITS = Uint8Array.of(0)
/** More than the headers of certificate and bit string, and the octet of unused bits. */
const OTHER_OCTETS = 16
