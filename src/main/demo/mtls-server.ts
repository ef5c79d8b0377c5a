import { once } from "node:events"
import { createInterface } from "node:readline"
import { createServer, type TLSSocket } from "node:tls"
import { systemClock } from "../../adapters/system/clock.ts"
import { toIdentityError } from "../../core/errors.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import { chainOf, type PeerIdentity, requireIdentity, verifyPeer } from "./peer-identity.ts"
import { tlsMaterial } from "./tls-material.ts"
import type { RotatingIdentity } from "./workload.ts"

/** A service that answers lines, over mutual TLS with its SVID, to one identity only. */
export interface MtlsServer extends AsyncDisposable {
  readonly port: number
}

/**
 * Listen on a free loopback port. A line is answered by `ok <caller> <serial of the caller's certificate> <line>`. A caller
 * whose chain verifies but who is not `allowed` reads `refused: <why>` and is hung up on. Each new SVID
 * serves the connections after it; those that are open stay.
 */
export async function listenMtls(identity: RotatingIdentity, allowed: SpiffeId): Promise<MtlsServer> {
  const server = createServer({ ...tlsMaterial(identity.current().svid), requestCert: true, rejectUnauthorized: true })
  const open = new Set<TLSSocket>()
  server.on("secureConnection", (socket) => {
    open.add(socket)
    socket.once("close", () => open.delete(socket))
    socket.on("error", () => socket.destroy()) // a caller that hangs up is not our failure
    serve(socket, identity, allowed)
  })
  server.maxConnections = MAX_CONNECTIONS
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const following = identity.onChange(({ svid }) => server.setSecureContext(tlsMaterial(svid)))
  const address = server.address()
  if (address === null || typeof address === "string") throw new TypeError("not a TCP listener")
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      following[Symbol.dispose]()
      server.close()
      for (const socket of open) socket.destroy()
      await once(server, "close")
    },
  }
}

function serve(socket: TLSSocket, identity: RotatingIdentity, allowed: SpiffeId): void {
  let peer: PeerIdentity
  try {
    peer = verifyPeer(chainOf(socket.getPeerCertificate(true)), identity.current().svid, systemClock.now())
    requireIdentity(peer, allowed)
  } catch (thrown) {
    socket.end(`refused: ${toIdentityError(thrown).message}\n`)
    return
  }
  const answer = (line: string): void => {
    socket.write(`ok ${peer.spiffeId} ${peer.serial} ${line}\n`)
  }
  // It passes on the errors of its input, which the socket's own listener deals with.
  createInterface({ input: socket })
    .on("error", () => undefined)
    .on("line", answer)
}

const MAX_CONNECTIONS = 64
