import { createServer } from "node:net"

/**
 * A loopback port that nothing listens at, for peers that cannot be told to take any. It lies below the range from which
 * the kernel gives ports to others, so that it is not taken in between, and is given once: whoever has it may be away for a while.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    if (GIVEN.has(port)) continue
    GIVEN.add(port)
    if (await canListen(port)) return port
  }
  throw new Error(`no free port among ${ATTEMPTS} tried`)
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })
}

const GIVEN = new Set<number>()
const FIRST_PORT = 15_000
const PORTS = 15_000
const ATTEMPTS = 100
