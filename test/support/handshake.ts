import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { connect, createServer, type PeerCertificate, type TLSSocket } from "node:tls"

/** One side of a handshake. */
export interface HandshakeParty {
  /** PEM, leaf first. */
  readonly cert: string
  /** PEM. */
  readonly key: string
  /** PEM of the authorities that the other side must come from. */
  readonly ca: string
}

/** What the two sides saw of each other. */
export interface Handshake {
  readonly byClient: PeerCertificate
  readonly byServer: PeerCertificate
}

/**
 * One mutually authenticated TLS connection within Node, over loopback. `identify` decides who the server may be, in place
 * of a host name. @throws Error of the side that refused
 */
export async function shakeHands(
  server: HandshakeParty,
  client: HandshakeParty,
  identify: (certificate: PeerCertificate) => Error | undefined,
): Promise<Handshake> {
  const accepted = Promise.withResolvers<TLSSocket>()
  const listener = createServer({ ...server, requestCert: true, rejectUnauthorized: true }, accepted.resolve)
  listener.on("tlsClientError", accepted.reject)
  await new Promise<void>((resolve) => {
    listener.listen(0, "127.0.0.1", resolve)
  })
  const { port } = listener.address() as AddressInfo // it listens on TCP
  const socket = connect({ ...client, host: "127.0.0.1", port, checkServerIdentity: (_, peer) => identify(peer) })
  try {
    const [peer] = await Promise.all([accepted.promise, once(socket, "secureConnect")])
    return { byClient: socket.getPeerCertificate(), byServer: peer.getPeerCertificate() }
  } finally {
    accepted.promise.then(
      (peer) => peer.destroy(),
      () => undefined,
    )
    socket.destroy()
    listener.close()
  }
}
