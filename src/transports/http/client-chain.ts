import type { IncomingMessage } from "node:http"
import { type DetailedPeerCertificate, TLSSocket } from "node:tls"

/**
 * The certificates that the client showed in the handshake, DER, leaf first; empty for none. The handshake has proven the leaf's
 * key and nothing else. @see SCA-05
 */
export function clientChain({ socket }: IncomingMessage): readonly Uint8Array[] {
  const known = CHAINS.get(socket)
  if (known !== undefined) return known
  const chain = socket instanceof TLSSocket ? readChain(socket.getPeerCertificate(true)) : []
  CHAINS.set(socket, chain)
  return chain
}

function readChain(leaf: DetailedPeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  let next: DetailedPeerCertificate | undefined = leaf
  while (next?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(new Uint8Array(next.raw))
    // One that signed itself is its own issuer.
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate
  }
  return chain
}

/** A connection keeps its certificate: there is no renegotiation. */
const CHAINS = new WeakMap<object, readonly Uint8Array[]>()
const MAX_CHAIN = 8
