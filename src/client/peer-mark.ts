import type { PeerIdentity } from "./peer.ts"

/** Note on `thing`, for {@link peerOn}, whose it is. A property and no map, since HTTP/2 shows its sockets through a proxy. */
export function markPeer<T extends object>(thing: T, peer: PeerIdentity): T {
  return Object.defineProperty(thing, PEER, { value: Object.freeze(peer) })
}

/** The peer that was noted on `thing`, or on what it is a proxy of. */
export function peerOn(thing: object): PeerIdentity | undefined {
  return (thing as Marked)[PEER] // only markPeer knows the name
}

interface Marked {
  readonly [PEER]?: PeerIdentity
}

const PEER: unique symbol = Symbol("peer identity")
