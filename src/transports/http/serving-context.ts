import { constants } from "node:crypto"
import type { SecureContextOptions } from "node:tls"
import { TLS_CIPHERS } from "../../core/tls-ciphers.ts"

/** What a listener proves itself with. PEM; the chain is leaf first. */
export interface ServingCertificate {
  readonly chain: string
  readonly key: string
}

/**
 * TLS of every listener: 1.2 with forward secrecy, or 1.3; no session tickets and, as nothing keeps sessions, no resumption, so
 * nobody resumes past a check. @see INV-35
 */
export function servingContext(certificate: ServingCertificate): SecureContextOptions {
  return {
    cert: certificate.chain,
    key: certificate.key,
    minVersion: "TLSv1.2",
    ciphers: TLS_CIPHERS,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  }
}
