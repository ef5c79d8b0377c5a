import { constants } from "node:crypto"
import type { SecureContextOptions } from "node:tls"

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
    ciphers: CIPHERS,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  }
}

const CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":")
