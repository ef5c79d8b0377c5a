import { createServer, type Server } from "node:https"
import { createSecureContext } from "node:tls"
import { type ServingCertificate, servingContext } from "./serving-context.ts"

/** Bounds on the connections of an HTTPS listener. */
export interface HttpsLimits {
  /** Largest header block, bytes. */
  readonly headerBytes: number
  readonly connections: number
  /** Requests that one connection may make, after which it is closed. Default: any number. */
  readonly requestsPerConnection?: number
}

/**
 * An HTTPS server whose certificate can be replaced while it serves. A client certificate is asked for and not demanded; who
 * relies on one verifies it, as the handshake does not. No session is ever resumed. @see INV-35 MT-01
 */
export class HttpsServer {
  readonly server: Server

  constructor(certificate: ServingCertificate, limits: HttpsLimits) {
    this.server = createServer({
      ...servingContext(certificate),
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT,
      maxHeaderSize: limits.headerBytes,
      headersTimeout: HEADERS_TIMEOUT,
      requestTimeout: REQUEST_TIMEOUT,
      keepAliveTimeout: KEEP_ALIVE,
      connectionsCheckingInterval: 5000,
    })
    this.server.maxConnections = limits.connections
    this.server.maxRequestsPerSocket = limits.requestsPerConnection ?? 0
  }

  /** @throws Error of OpenSSL when it is not a chain with its key; then the one before stays */
  replace(certificate: ServingCertificate): void {
    const context = servingContext(certificate)
    createSecureContext(context)
    this.server.setSecureContext(context)
  }
}

const HANDSHAKE_TIMEOUT = 10_000
const HEADERS_TIMEOUT = 10_000
const REQUEST_TIMEOUT = 15_000
/** Longer than the minute for which proxies keep a connection. */
const KEEP_ALIVE = 75_000
