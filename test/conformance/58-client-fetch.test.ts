import assert from "node:assert/strict"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { test } from "node:test"
import { createServer } from "node:tls"
import { authorizeId, makeSvidFetch } from "../../src/client/client.ts"
import { secureContextOptions } from "../../src/client/tls-material.ts"
import { makeFakeHolder } from "../support/fake-holder.ts"
import { refusal } from "../support/refusal.ts"
import { makeTestCa } from "../support/test-ca.ts"

const WEB = "spiffe://example.org/ns/demo/sa/web"
const DB = "spiffe://example.org/ns/demo/sa/db"
const ca = makeTestCa()

const ANSWERS = {
  "an upgrade that nobody asked for":
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n",
  "a status above 599": "HTTP/1.1 600 Other\r\ncontent-length: 0\r\n\r\n",
  "a status below 200": "HTTP/1.1 000 Other\r\ncontent-length: 0\r\n\r\n",
  nothing: undefined,
}

for (const [name, answer] of Object.entries(ANSWERS)) {
  test(`[CLT-24] a fetch that is answered by ${name} fails, and nothing else does`, { timeout: 20_000 }, async () => {
    await using peer = await openOddPeer(answer)
    const fetch = makeSvidFetch(makeFakeHolder(ca, WEB), authorizeId(DB))
    const asked = fetch(`https://127.0.0.1:${peer.port}/`, { signal: AbortSignal.timeout(15_000) })
    await assert.rejects(asked, answer === undefined ? { code: "ECONNRESET" } : refusal("not-ready"))
  })
}

/** A peer with a good identity that answers each request by these bytes, or hangs up. */
async function openOddPeer(answer: string | undefined): Promise<AsyncDisposable & { readonly port: number }> {
  const terms = secureContextOptions(makeFakeHolder(ca, DB).current())
  const server = createServer({ ...terms, requestCert: true }, (socket) => {
    socket.on("error", () => socket.destroy())
    socket.once("data", () => (answer === undefined ? socket.destroy() : socket.end(answer)))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port, // it listens on TCP
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, "close")
    },
  }
}
