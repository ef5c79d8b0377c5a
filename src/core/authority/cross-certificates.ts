import type { Instant } from "../time.ts"
import { type CertificateView, parseCertificate } from "../x509/certificate.ts"

/**
 * Of the certificates by which earlier roots vouch for a root, nearest first, those that still lead anywhere: up to the first one that
 * has expired, and {@link MAX_CROSS_CERTIFICATES} at most. @see ROT-70 ROT-71
 */
export function liveCrossCertificates(certificates: readonly Uint8Array[], now: Instant): readonly Uint8Array[] {
  const first = certificates.findIndex((der) => parseCertificate(der).notAfter <= now)
  return certificates.slice(0, Math.min(first === -1 ? certificates.length : first, MAX_CROSS_CERTIFICATES))
}

/** Whether a root can vouch for the next one. Those of earlier versions bound the path to what is below themselves. @see ROT-74 */
export function canVouch({ pathLength }: CertificateView): boolean {
  return pathLength === undefined
}

export const MAX_CROSS_CERTIFICATES = 16
