import { connect } from "node:tls"
import type { Millis } from "../../core/time.ts"
import type { ServerEndpoint, TlsTerms } from "./channel-trust.ts"

export type ProbeResult =
  | { readonly kind: "trusted" }
  | { readonly kind: "unreachable" }
  /** `reason` is for people. */
  | { readonly kind: "untrusted"; readonly reason: string }

/**
 * Why a connection failed: grpc-js tells a server that is not there from one that is not trusted by text alone, so this
 * makes one handshake of its own, sends nothing, and looks. @see AGT-37
 */
export function probeTrust(endpoint: ServerEndpoint, terms: TlsTerms): Promise<ProbeResult> {
  const { promise, resolve } = Promise.withResolvers<ProbeResult>()
  const socket = connect({
    host: endpoint.host,
    port: endpoint.port,
    secureContext: terms.context,
    servername: terms.serverName,
    checkServerIdentity: terms.check,
    ALPNProtocols: ["h2"],
    rejectUnauthorized: false,
    timeout: TIMEOUT,
  })
  socket.once("secureConnect", () => {
    const reason = String(socket.authorizationError)
    resolve(socket.authorized ? { kind: "trusted" } : { kind: "untrusted", reason })
    socket.destroy()
  })
  socket.once("timeout", () => socket.destroy())
  socket.once("error", () => resolve({ kind: "unreachable" }))
  socket.once("close", () => resolve({ kind: "unreachable" }))
  return promise
}

const TIMEOUT: Millis = 5_000
