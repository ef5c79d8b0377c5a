import { MAX_AUTHORITIES } from "../spiffe/bundle-bounds.ts"
import { TAG } from "./der.ts"
import { DerReader } from "./der-reader.ts"
import { malformed } from "./refusal.ts"
import { parseTbs, type TbsView } from "./tbs-certificate.ts"

/** What a certificate says. Nothing in it is verified. Arrays are views of {@link CertificateView.der}. */
export interface CertificateView extends TbsView {
  readonly der: Uint8Array
  /** The bytes that were signed. */
  readonly tbs: Uint8Array
  readonly signature: Uint8Array
}

/** Read a certificate strictly, at most 64 KiB. @throws IdentityError `malformed` @see DER-01..DER-12 */
export function parseCertificate(der: Uint8Array): CertificateView {
  if (der.length > MAX_CERTIFICATE) throw malformed("der-size", "certificate is longer than 64 KiB")
  const certificate = new DerReader(der).enterLast(TAG.sequence)
  const tbs = certificate.element(TAG.sequence)
  const algorithm = certificate.element(TAG.sequence)
  const signature = certificate.bitString()
  certificate.end()
  const view = parseTbs(tbs)
  if (Buffer.compare(algorithm, view.signatureAlgorithmDer) !== 0) {
    throw malformed("signature-algorithm", "certificate names two signature algorithms")
  }
  return { ...view, der, tbs, signature }
}

/** Split certificates that stand one after another, as the Workload API writes them. At most as many as a bundle may have. @throws IdentityError `malformed` */
export function splitCertificates(bytes: Uint8Array): readonly Uint8Array[] {
  const reader = new DerReader(bytes)
  const certificates: Uint8Array[] = []
  while (!reader.done) {
    if (certificates.length === MAX_AUTHORITIES)
      throw malformed("der-size", `more than ${MAX_AUTHORITIES} certificates`)
    certificates.push(reader.element(TAG.sequence))
  }
  return certificates
}

const MAX_CERTIFICATE = 65536
