import { constants } from "node:crypto"
import type { SecureServerOptions } from "node:http2"
import { createSecureContext, type SecureContextOptions } from "node:tls"
import { ServerCredentials } from "@grpc/grpc-js"

/** What a listener proves itself with. PEM; the chain is leaf first. */
export interface ServingCertificate {
  readonly chain: string
  readonly key: string
}

/** Bounds on a connection, which HTTP/2 tells its peers and enforces. */
export interface ConnectionLimits {
  /** Largest header block that is accepted, bytes as HTTP/2 counts them: 32 more for each field. */
  readonly headerBytes: number
  readonly streamsPerConnection: number
}

/**
 * TLS for a gRPC listener whose certificate can be replaced while it serves. New connections get the new certificate, live
 * ones go on. There are no session tickets and no session cache, so nobody resumes past a check. @see INV-35
 */
export class ServingTls extends ServerCredentials {
  constructor(certificate: ServingCertificate, limits: ConnectionLimits) {
    const settings = { maxHeaderListSize: limits.headerBytes, maxConcurrentStreams: limits.streamsPerConnection }
    super({ ...LISTENER, settings }, contextOf(certificate))
  }

  /** @throws Error of OpenSSL when it is not a chain with its key; then the one before stays */
  replace(certificate: ServingCertificate): void {
    const context = contextOf(certificate)
    createSecureContext(context) // the listener would only log what is wrong with it
    this.updateSecureContextOptions(context)
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other
  }
}

function contextOf(certificate: ServingCertificate): SecureContextOptions {
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

const LISTENER: SecureServerOptions = { requestCert: false, handshakeTimeout: 10_000 }
