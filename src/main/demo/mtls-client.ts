import { once } from "node:events"
import { createInterface } from "node:readline"
import { connect, type TLSSocket } from "node:tls"
import { systemClock } from "../../adapters/system/clock.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Millis } from "../../core/time.ts"
import { chainOf, type PeerIdentity, requireIdentity, verifyPeer } from "./peer-identity.ts"
import { tlsMaterial } from "./tls-material.ts"
import type { HeldIdentity, RotatingIdentity } from "./workload.ts"

/** An open connection to a service whose identity was checked. */
export interface MtlsConnection extends Disposable {
  readonly peer: PeerIdentity
  /** What it was dialled with. */
  readonly own: HeldIdentity
  /** e.g. `TLSv1.3` */
  readonly protocol: string
  /** From the start of connecting until the service's chain and identity were verified. Its own verdict comes with the first answer. */
  readonly handshakeMillis: Millis
  /** Send a line and read the answer. One at a time. @throws Error when the connection ends first or `signal` aborts */
  ask(line: string, signal: AbortSignal): Promise<string>
}

/**
 * Dial with what `identity` holds now, and never resume: each connection shows the certificates of its time.
 * @throws IdentityError `policy-denied` when the service is not `expected`; Error when TLS fails
 */
export async function dialMtls(
  port: number,
  { identity, expected }: { readonly identity: Pick<RotatingIdentity, "current">; readonly expected: SpiffeId },
  signal: AbortSignal,
): Promise<MtlsConnection> {
  const own = identity.current()
  const { svid } = own
  const begun = performance.now()
  let peer: PeerIdentity | undefined
  const socket = connect({
    ...tlsMaterial(svid),
    host: "127.0.0.1",
    port,
    // Runs once the chain is verified, in place of the comparison of host names.
    checkServerIdentity: (_host, certificate) => {
      try {
        peer = verifyPeer(chainOf(certificate), svid, systemClock.now())
        requireIdentity(peer, expected)
        return undefined
      } catch (thrown) {
        return thrown instanceof Error ? thrown : new Error("the peer cannot be verified", { cause: thrown })
      }
    },
  })
  try {
    await once(socket, "secureConnect", { signal })
    if (peer === undefined) throw new TypeError("the peer was not verified")
    return connectionOver(socket, { peer, own, handshakeMillis: performance.now() - begun })
  } catch (thrown) {
    socket.destroy()
    throw thrown
  }
}

function connectionOver(
  socket: TLSSocket,
  facts: Pick<MtlsConnection, "peer" | "own" | "handshakeMillis">,
): MtlsConnection {
  // It passes on the errors of its input, which the socket's own listener deals with.
  const lines = createInterface({ input: socket }).on("error", () => undefined)
  const ended = new AbortController()
  let reason = "the connection has ended"
  socket.on("error", ({ message }) => {
    reason = `the connection has failed: ${message}`
  })
  socket.once("close", () => ended.abort(new Error(reason)))
  return {
    ...facts,
    protocol: socket.getProtocol() ?? "no protocol",
    async ask(line, signal) {
      const until = AbortSignal.any([signal, ended.signal])
      const answered = once(lines, "line", { signal: until })
      socket.write(`${line}\n`)
      const [answer]: unknown[] = await answered.catch(() => Promise.reject(until.reason))
      return String(answer)
    },
    [Symbol.dispose]: () => socket.destroy(),
  }
}
