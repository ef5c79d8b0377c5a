import { MAX_AUTHORITIES } from "../../core/spiffe/bundle-bounds.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"
import { parsePem } from "../../core/x509/pem.ts"

/** Certificates of a PEM text, DER, 1 to 256. @throws IdentityError `malformed` */
export function parsePemCertificates(text: string): readonly Uint8Array[] {
  const certificates = parsePem(text, "CERTIFICATE", { maxLength: MAX_TEXT, maxBlocks: MAX_AUTHORITIES })
  for (const certificate of certificates) parseCertificate(certificate)
  return certificates
}

const MAX_TEXT = 1024 * 1024
