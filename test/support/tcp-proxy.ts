import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"

/** Stands between a client and a server on loopback, and drops connections when the test says so. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number
  /** Connections that were dropped so far. */
  readonly dropped: number
  /** Drop all connections, and each new one until {@link TcpProxy.mend}. */
  cut(): void
  mend(): void
}

export async function listenTcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let isCut = false
  let dropped = 0
  const drop = (socket: Socket): void => {
    dropped++
    socket.resetAndDestroy()
  }
  const server = createServer((near) => {
    if (isCut) return drop(near)
    const far = connect(target, "127.0.0.1")
    sockets.add(near)
    const end = (): void => {
      sockets.delete(near)
      near.destroy()
      far.destroy()
    }
    for (const socket of [near, far]) socket.on("error", end).once("close", end)
    near.pipe(far).pipe(near)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new TypeError("not a TCP listener")
  const cut = (): void => {
    isCut = true
    for (const socket of sockets) drop(socket)
  }
  return {
    port: address.port,
    get dropped() {
      return dropped
    },
    cut,
    mend: () => {
      isCut = false
    },
    [Symbol.asyncDispose]: async () => {
      cut()
      server.close()
      await once(server, "close")
    },
  }
}
