import { isIP } from "node:net"
import { connect } from "node:tls"
import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js"
import type { Authorize } from "./authorize.ts"
import { tlsClientOptions } from "./tls-client.ts"
import type { X509Holder } from "./x509-source.ts"

/**
 * Credentials of a grpc-js client. Each connection of the channel is dialled with the SVID of its time and verified as
 * `tlsClientOptions` says. @see CLT-05 CLT-07 CLT-08 CLT-09
 */
export function makeChannelCredentials(source: X509Holder, authorize: Authorize): ChannelCredentials {
  return new SvidChannelCredentials(source, authorize)
}

class SvidChannelCredentials extends ChannelCredentials {
  readonly #source: X509Holder
  readonly #authorize: Authorize

  constructor(source: X509Holder, authorize: Authorize) {
    super()
    this.#source = source
    this.#authorize = authorize
  }

  override _isSecure(): boolean {
    return true
  }

  // Channels share connections of equal credentials: ours are equal to themselves alone.
  override _equals(other: ChannelCredentials): boolean {
    return this === other
  }

  override _createSecureConnector(...[target, options, callCredentials]: ConnectorParameters): SecureConnector {
    const name = options["grpc.ssl_target_name_override"] ?? hostOf(target.path)
    return {
      connect: async (socket) => {
        const dialled = connect({
          ...tlsClientOptions(this.#source, this.#authorize),
          socket,
          ALPNProtocols: ["h2"],
          // SNI must not carry an address (RFC 6066 section 3).
          ...(isIP(name) === 0 ? { servername: name } : {}),
        })
        const { promise, resolve, reject } = Promise.withResolvers<void>()
        const ended = (): void => reject(new Error("the connection has ended before it was secure"))
        dialled.once("secureConnect", resolve).once("close", ended).on("error", reject)
        await promise
        dialled.off("close", ended)
        return { socket: dialled, secure: true }
      },
      waitForReady: async () => {},
      getCallCredentials: () => callCredentials ?? CallCredentials.createEmpty(),
      destroy: () => {},
    }
  }
}

/** `host`, `host:port`, `[address]:port` → host. */
function hostOf(path: string): string {
  const bracketed = /^\[([^\]]+)\]/.exec(path)?.[1]
  return bracketed ?? (isIP(path) === 0 ? path.replace(/:\d+$/, "") : path)
}

type ConnectorParameters = Parameters<ChannelCredentials["_createSecureConnector"]>
type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>
