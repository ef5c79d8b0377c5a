import { Agent, type RequestOptions } from "node:https"
import { isIP, type Socket } from "node:net"
import { Duplex } from "node:stream"
import { connect, type TLSSocket } from "node:tls"
import { IdentityError } from "../core/errors.ts"
import type { Millis } from "../core/time.ts"
import type { Authorize } from "./authorize.ts"
import { tlsClientOptions } from "./tls-client.ts"
import type { X509Context } from "./x509-context.ts"
import type { X509Holder } from "./x509-source.ts"

/** Where undici wants a connection to. */
export interface ConnectorTarget {
  readonly hostname: string
  /** Text, as in a URL; empty for 443. */
  readonly port: string
  /** `https:`; anything else is refused. */
  readonly protocol?: string
  readonly servername?: string | undefined
  readonly localAddress?: string | null | undefined
  /** A connection through a proxy, to speak TLS over. */
  readonly httpSocket?: Socket | undefined
}

export type ConnectorCallback = (...result: [null, TLSSocket] | [Error, null]) => void

/** The `connect` of an undici `Agent`, `Pool` or `Client`. */
export type Connector = (target: ConnectorTarget, callback: ConnectorCallback) => void

/**
 * For undici: `new Agent({ connect: makeConnector(source, authorize) })`. Each connection is dialled with the SVID of its time
 * and verified as {@link tlsClientOptions} says; HTTP/1.1, within 10 seconds. @see CLT-05 CLT-07 CLT-08
 */
export function makeConnector(source: X509Holder, authorize: Authorize): Connector {
  return (target, callback) => {
    let answer: ConnectorCallback | undefined = callback
    const done: ConnectorCallback = (...result) => {
      answer?.(...result)
      answer = undefined
    }
    try {
      const socket = dial(target, source, authorize)
      socket.once("secureConnect", () => done(null, socket)).once("error", (error) => done(error, null))
    } catch (thrown) {
      done(thrown instanceof Error ? thrown : new Error("cannot dial", { cause: thrown }), null)
    }
  }
}

/**
 * For `https.request` and what is built on it: keeps connections alive, and dials each new one with the SVID of its time. A
 * connection of an SVID that was replaced serves the request that it has and no other. @see CLT-05 CLT-07 CLT-08
 */
export function makeHttpsAgent(source: X509Holder, authorize: Authorize): Agent {
  return new SvidAgent(source, authorize)
}

class SvidAgent extends Agent {
  readonly #source: X509Holder
  readonly #authorize: Authorize
  readonly #dialledWith = new WeakMap<object, X509Context>()
  /** Of each connection, by the options that it was dialled with: Node asks by them when it is over. */
  readonly #names = new WeakMap<object, string>()
  #newest: X509Context | undefined
  #generation = 0

  constructor(source: X509Holder, authorize: Authorize) {
    super({ keepAlive: true, maxCachedSessions: 0, maxFreeSockets: MAX_FREE_SOCKETS })
    this.#source = source
    this.#authorize = authorize
  }

  // Connections are shared under a name; one for each SVID, so that a request never goes out under the one before. A connection
  // keeps its name, under which Node forgets it.
  override getName(options?: RequestOptions): string {
    const current = this.#current()
    if (current !== this.#newest) {
      this.#newest = current
      this.#generation++
      for (const idle of Object.values(this.freeSockets).flat()) idle?.destroy()
    }
    const known = options === undefined ? undefined : this.#names.get(options)
    return known ?? `${super.getName(options)}:svid-${this.#generation}`
  }

  override createConnection(...[options, callback]: Parameters<Agent["createConnection"]>) {
    try {
      const context = this.#source.current()
      this.#names.set(options, this.getName(options))
      // What the request says of TLS is overruled: its agent is what it is verified by.
      const own = { ...options, ...tlsClientOptions(this.#source, this.#authorize) }
      const socket = super.createConnection(own, callback)
      if (socket) this.#dialledWith.set(socket, context)
      return socket
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error("cannot dial", { cause: thrown })
      const nothing = new Duplex() // nobody looks at it beside an error
      process.nextTick(() => callback?.(error, nothing))
      return undefined
    }
  }

  // Node asks it when a request is over; true keeps the connection for the next one.
  override keepSocketAlive(socket: Socket): boolean {
    const current = this.#current()
    if (current === undefined || this.#dialledWith.get(socket) !== current) return false
    socket.setKeepAlive(true)
    socket.unref()
    return true
  }

  /** `undefined` when there is nothing to show. */
  #current(): X509Context | undefined {
    try {
      return this.#source.current()
    } catch {
      return undefined
    }
  }
}

function dial(target: ConnectorTarget, source: X509Holder, authorize: Authorize): TLSSocket {
  if ((target.protocol ?? "https:") !== "https:") {
    throw new IdentityError("malformed", "only https can be dialled with an SVID")
  }
  const host = target.hostname.replace(/^\[|\]$/g, "")
  const servername = target.servername || host
  const socket = connect({
    ...tlsClientOptions(source, authorize),
    ALPNProtocols: ["http/1.1"],
    ...(isIP(servername) === 0 ? { servername } : {}),
    ...(target.httpSocket === undefined
      ? {
          host,
          port: Number(target.port || 443),
          ...(target.localAddress ? { localAddress: target.localAddress } : {}),
        }
      : { socket: target.httpSocket }),
  })
  const late = setTimeout(() => socket.destroy(new IdentityError("deadline", "no connection in time")), DIAL)
  const settle = (): void => clearTimeout(late)
  socket.once("secureConnect", settle).once("close", settle)
  return socket
}

const DIAL: Millis = 10_000
const MAX_FREE_SOCKETS = 256
