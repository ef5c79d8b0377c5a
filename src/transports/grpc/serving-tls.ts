import type { SecureServerOptions } from "node:http2"
import { createSecureContext } from "node:tls"
import { ServerCredentials } from "@grpc/grpc-js"
import { type ServingCertificate, servingContext } from "../http/serving-context.ts"

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
    super({ ...LISTENER, settings }, servingContext(certificate))
  }

  /** @throws Error of OpenSSL when it is not a chain with its key; then the one before stays */
  replace(certificate: ServingCertificate): void {
    const context = servingContext(certificate)
    createSecureContext(context) // the listener would only log what is wrong with it
    this.updateSecureContextOptions(context)
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other
  }
}

const LISTENER: SecureServerOptions = { requestCert: false, handshakeTimeout: 10_000 }
