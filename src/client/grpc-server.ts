import { TLSSocket } from "node:tls"
import {
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from "@grpc/grpc-js"
import { systemClock } from "../adapters/system/clock.ts"
import { IdentityError, toIdentityError } from "../core/errors.ts"
import type { Authorize } from "./authorize.ts"
import { chainOf, type PeerIdentity, requireAuthorized, verifyChain } from "./peer.ts"
import { markPeer, peerOn } from "./peer-mark.ts"
import { secureContextOptions } from "./tls-material.ts"
import type { X509Holder } from "./x509-source.ts"

/**
 * Credentials of a grpc-js server whose clients are known by their SPIFFE IDs. OpenSSL refuses a chain that ends in no bundle
 * at the handshake; the path check by the bundle of the client's own trust domain follows at the first call of a connection,
 * and `authorize` is asked at every call, before its handler. A client that is not let in is answered `PERMISSION_DENIED`,
 * one that does not verify `UNAUTHENTICATED`. @throws IdentityError as {@link X509Holder.current} @see CLT-05 CLT-07 CLT-08 CLT-09
 */
export function makeServerCredentials(source: X509Holder, authorize: Authorize): ServerCredentials {
  return new SvidServerCredentials(source, authorize)
}

/** Who makes a call to a server of {@link makeServerCredentials}; `undefined` on every other server. */
export function peerOfCall(call: Pick<ServerInterceptingCallInterface, "getAuthContext">): PeerIdentity | undefined {
  return peerOn(call.getAuthContext())
}

class SvidServerCredentials extends ServerCredentials {
  readonly #source: X509Holder
  readonly #interceptor: ServerInterceptor
  readonly #following = new Map<Watcher, Disposable>()

  constructor(source: X509Holder, authorize: Authorize) {
    super({ requestCert: true, rejectUnauthorized: true, handshakeTimeout: 10_000 }, {})
    this.#source = source
    this.#interceptor = makeInterceptor(source, authorize)
  }

  override _getSecureContextOptions() {
    return secureContextOptions(this.#source.current())
  }

  override _addWatcher(watcher: Watcher): void {
    const following = this.#source.onChange((context) => watcher(secureContextOptions(context)))
    this.#following.set(watcher, following)
  }

  override _removeWatcher(watcher: Watcher): void {
    this.#following.get(watcher)?.[Symbol.dispose]()
    this.#following.delete(watcher)
  }

  override _getInterceptors(): ServerInterceptor[] {
    return [this.#interceptor]
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other
  }
}

function makeInterceptor(source: X509Holder, authorize: Authorize): ServerInterceptor {
  /** By connection; one is verified once. */
  const peers = new WeakMap<object, PeerIdentity>()
  const identify = (call: ServerInterceptingCallInterface): PeerIdentity => {
    const { session, socket } = connectionOf(call)
    const known = peers.get(session)
    if (known !== undefined) return known
    const chain = chainOf(socket.getPeerCertificate(true))
    const peer = Object.freeze(verifyChain(chain, source.current().bundles, systemClock.now()))
    peers.set(session, peer)
    return peer
  }
  return (_method, call) => {
    try {
      const peer = identify(call)
      requireAuthorized(peer.spiffeId, authorize)
      return new AdmittedCall(call, peer)
    } catch (thrown) {
      return new RefusedCall(call, toIdentityError(thrown))
    }
  }
}

class AdmittedCall extends ServerInterceptingCall {
  readonly #peer: PeerIdentity

  constructor(call: ServerInterceptingCallInterface, peer: PeerIdentity) {
    super(call)
    this.#peer = peer
  }

  override getAuthContext() {
    return markPeer(super.getAuthContext(), this.#peer)
  }
}

/** Ends where it would begin: neither handler nor any other interceptor sees a message. */
class RefusedCall extends ServerInterceptingCall {
  readonly #why: IdentityError

  constructor(call: ServerInterceptingCallInterface, why: IdentityError) {
    super(call)
    this.#why = why
  }

  override start(): void {
    const code = STATUS.get(this.#why.code) ?? status.UNAUTHENTICATED
    this.sendStatus({ code, details: this.#why.message })
  }
}

/**
 * The HTTP/2 session of a call. grpc-js shows the client's leaf alone; the chain is with the socket, which the innermost call
 * holds. Where it does not any more, every call is refused.
 */
function connectionOf(call: ServerInterceptingCallInterface): { readonly session: object; readonly socket: TLSSocket } {
  const session: unknown = Reflect.get(Object(Reflect.get(call, "stream")), "session")
  const socket: unknown = session === undefined ? undefined : Reflect.get(Object(session), "socket")
  if (!isObject(session) || !(socket instanceof TLSSocket)) {
    throw new IdentityError("unauthenticated", "the connection has ended", { reason: "peer-certificate-missing" })
  }
  return { session, socket }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null
}

type Watcher = Parameters<ServerCredentials["_addWatcher"]>[0]
const STATUS: ReadonlyMap<string, status> = new Map([
  ["policy-denied", status.PERMISSION_DENIED],
  ["internal", status.INTERNAL],
])
