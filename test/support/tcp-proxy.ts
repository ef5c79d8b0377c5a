import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import type { Millis } from "../../src/core/time.ts"
import { SlowLane } from "./slow-lane.ts"

/** Stands between a client and a server on loopback; drops connections, or makes them slow, when the test says so. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number
  /** Connections that were dropped so far. */
  readonly dropped: number
  /** Connections that were made through it so far. */
  readonly accepted: number
  /** Drop all connections that there are; new ones are welcome. @returns how many there were */
  shake(): number
  /** Drop all connections, and each new one until {@link TcpProxy.mend}. */
  cut(): void
  mend(): void
  /** What the server says comes this much later from now on. */
  delay(millis: Millis): void
  /** Nothing that the server says comes through until {@link TcpProxy.release}. */
  hold(): void
  release(): void
}

export async function listenTcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  const lanes = new Set<SlowLane>()
  let isCut = false
  let isHeld = false
  let delay: Millis = 0
  let dropped = 0
  let accepted = 0
  const drop = (socket: Socket): void => {
    dropped++
    socket.resetAndDestroy()
  }
  const server = createServer((near) => {
    if (isCut) return drop(near)
    accepted++
    const far = connect(target, "127.0.0.1")
    const lane = new SlowLane(near, () => delay)
    if (isHeld) lane.hold()
    sockets.add(near)
    lanes.add(lane)
    const end = (): void => {
      sockets.delete(near)
      lanes.delete(lane)
      near.destroy()
      far.destroy()
    }
    for (const socket of [near, far]) socket.on("error", end).once("close", end)
    near.pipe(far).on("data", (bytes: Buffer) => lane.pass(bytes))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new TypeError("not a TCP listener")
  const shake = (): number => {
    const open = [...sockets]
    for (const socket of open) drop(socket)
    return open.length
  }
  const cut = (): void => {
    isCut = true
    shake()
  }
  return {
    port: address.port,
    get dropped() {
      return dropped
    },
    get accepted() {
      return accepted
    },
    shake,
    cut,
    mend: () => {
      isCut = false
    },
    delay: (millis) => {
      delay = millis
    },
    hold: () => {
      isHeld = true
      for (const lane of lanes) lane.hold()
    },
    release: () => {
      isHeld = false
      for (const lane of lanes) lane.release()
    },
    [Symbol.asyncDispose]: async () => {
      cut()
      server.close()
      await once(server, "close")
    },
  }
}
