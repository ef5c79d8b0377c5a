import type { Server, TLSSocket, TlsOptions } from "node:tls"
import { systemClock } from "../adapters/system/clock.ts"
import { toIdentityError } from "../core/errors.ts"
import type { Authorize } from "./authorize.ts"
import { chainOf, type PeerIdentity, verifyPeer } from "./peer.ts"
import { markPeer, peerOn } from "./peer-mark.ts"
import { secureContextOptions } from "./tls-material.ts"
import type { X509Holder } from "./x509-source.ts"

/**
 * A server over mutual TLS whose clients are known by their SPIFFE IDs. `create` makes it of the options that it is given:
 * ```ts
 * makeTlsServer(source, authorizeId(WEB), (tls) => https.createServer(tls, handler))
 * ```
 * `tls.createServer`, `https.createServer`, `http2.createSecureServer` and what takes their options will do. Each new SVID and
 * bundle serves the handshakes after it; connections that are open go on. A client without a certificate, whose chain does not
 * verify by the bundle of its own trust domain, or whom `authorize` does not let in, is hung up on before the server hears of
 * it; event `tlsClientError` says why. Nobody resumes a session.
 * @throws IdentityError as {@link X509Holder.current} @see CLT-05 CLT-06 CLT-07 CLT-08
 */
export function makeTlsServer<S extends Server>(
  source: X509Holder,
  authorize: Authorize,
  create: (options: TlsOptions) => S,
): S {
  const options = secureContextOptions(source.current())
  const server = create({ ...options, requestCert: true, rejectUnauthorized: true, handshakeTimeout: HANDSHAKE })
  admitOnly(server, source, authorize)
  const following = source.onChange((context) => server.setSecureContext(secureContextOptions(context)))
  server.once("close", () => following[Symbol.dispose]())
  return server
}

/**
 * Who is at the other end of a connection of a server of {@link makeTlsServer}: `request.socket`, or `stream.session.socket` of
 * HTTP/2. `undefined` for every other socket.
 */
export function peerOf(socket: object): PeerIdentity | undefined {
  return peerOn(socket)
}

/**
 * The server's own emit is the one way by which a connection comes to its listeners, those of HTTP and those that are added
 * later alike; so none of them ever holds a socket whose peer was not verified.
 */
function admitOnly(server: Server, source: X509Holder, authorize: Authorize): void {
  const emit = server.emit.bind(server) as (event: string | symbol, ...args: readonly unknown[]) => boolean // one of its overloads
  const guarded = (event: string | symbol, ...args: readonly unknown[]): boolean => {
    if (event !== "secureConnection") return emit(event, ...args)
    const socket = args[0] as TLSSocket // what the event carries
    try {
      const peer = verifyPeer(
        chainOf(socket.getPeerCertificate(true)),
        source.current().bundles,
        authorize,
        systemClock.now(),
      )
      markPeer(socket, peer)
    } catch (thrown) {
      socket.destroy()
      emit("tlsClientError", toIdentityError(thrown), socket)
      return true
    }
    return emit(event, ...args)
  }
  Object.defineProperty(server, "emit", { value: guarded })
}

const HANDSHAKE = 10_000
