import type { SecureServerOptions } from "node:http2"
import { createSecureContext, type SecureContext } from "node:tls"
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
  readonly #probe: Probe

  constructor(certificate: ServingCertificate, limits: ConnectionLimits) {
    const settings = { maxHeaderListSize: limits.headerBytes, maxConcurrentStreams: limits.streamsPerConnection }
    const probe: Probe = { name: undefined, context: undefined }
    const SNICallback: SecureServerOptions["SNICallback"] = (name, done) => {
      if (name !== probe.name) done(null)
      else if (probe.context === undefined) done(new Error("no root is tried"))
      else done(null, probe.context)
    }
    super({ ...LISTENER, settings, SNICallback }, servingContext(certificate))
    this.#probe = probe
  }

  /** Show this certificate to whoever asks for `name`; `undefined`: refuse them. Any other name gets the usual one. @see EV-4 */
  showProbe(name: string, certificate: ServingCertificate | undefined): void {
    this.#probe.name = name
    this.#probe.context = certificate && createSecureContext(servingContext(certificate))
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

interface Probe {
  name: string | undefined
  context: SecureContext | undefined
}

const LISTENER: SecureServerOptions = { requestCert: false, handshakeTimeout: 10_000 }
