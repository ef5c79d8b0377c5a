import assert from "node:assert/strict"
import { once } from "node:events"
import { describe, test } from "node:test"
import { connect, createServer } from "node:tls"
import {
  authorizeId,
  makeTlsServer,
  openJwtSource,
  openX509Source,
  peerOf,
  tlsClientOptions,
} from "../../src/client/client.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { openLiveWorkload } from "../support/live-workload.ts"
import { runGoSpiffe, startGoSpiffe } from "../support/peers/go-spiffe.ts"
import { textOf } from "../support/peers/json-lines.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { makeTestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://example.org/ns/demo/sa/web"
const DB = "spiffe://example.org/ns/demo/sa/db"

describe("the client library and go-spiffe", { skip: await skipWithout("go-spiffe"), timeout: 120_000 }, () => {
  const ca = makeTestCa()
  const jwtKey = makeJwtKey()

  test("[CLT-05] [CLT-08] go-spiffe calls our server across rotations, and is refused with the wrong identity", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    await using db = await openLiveWorkload(DB, ca, jwtKey)
    await using source = await openX509Source({ socket: db.socket })
    const refused: string[] = []
    const server = makeTlsServer(source, authorizeId(WEB), (tls) =>
      createServer(tls, (socket) => {
        const peer = peerOf(socket)?.spiffeId
        socket.on("error", () => socket.destroy()).on("data", () => socket.write(`hello ${peer}\n`))
      }),
    )
    server.on("tlsClientError", (error) => refused.push(error.message))
    const port = await listen(server)
    const args = ["-addr", `127.0.0.1:${port}`, "-peer", DB]
    for (const rotate of [() => undefined, db.rotate, web.rotate]) {
      const before = source.current()
      rotate()
      if (rotate === db.rotate) await until("the new SVID", () => source.current() !== before)
      const { code, events, error } = await runGoSpiffe("mtls-client", web.socket, [...args, "-count", "3"])
      assert.equal(code, 0, error)
      for (const event of events) assert.deepEqual([event["peer"], event["reply"]], [DB, `hello ${WEB}\n`])
    }
    const wrongServer = await runGoSpiffe("mtls-client", web.socket, ["-addr", `127.0.0.1:${port}`, "-peer", WEB])
    assert.match(wrongServer.error, /unexpected ID/)
    const wrongClient = await runGoSpiffe("mtls-client", db.socket, args)
    assert.equal(wrongClient.code, 1)
    assert.ok(
      refused.some((message) => /which is not allowed/.test(message)),
      refused.join("\n"),
    )
    server.close()
  })

  test("[CLT-05] [CLT-08] we call go-spiffe's server across rotations, and refuse it with the wrong identity", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    await using db = await openLiveWorkload(DB, ca, jwtKey)
    await using source = await openX509Source({ socket: web.socket })
    await using server = await startGoSpiffe("mtls-server", db.socket, ["-peer", WEB])
    const listening = await server.waitFor((event) => event.event === "listening", 20_000)
    const port = Number(textOf(listening, "addr").split(":").at(-1))
    const ask = async (expected: string): Promise<string> => {
      const socket = connect({ host: "127.0.0.1", port, ...tlsClientOptions(source, authorizeId(expected)) })
      try {
        socket.write("ping\n")
        const [reply]: unknown[] = await once(socket, "data")
        return String(reply)
      } finally {
        socket.destroy()
      }
    }
    for (const rotate of [() => undefined, web.rotate, db.rotate]) {
      const before = source.current()
      rotate()
      if (rotate === web.rotate) await until("the new SVID", () => source.current() !== before)
      assert.match(await ask(DB), /\n$/)
    }
    await assert.rejects(ask(WEB), { code: "policy-denied" })
    await server.waitFor((event) => event.event === "served" && event["peer"] === WEB, 20_000, 2)
  })

  test("[CLT-11] each takes the JWT-SVIDs of the other", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    await using source = await openJwtSource({ socket: web.socket })
    const { events } = await runGoSpiffe("jwt", web.socket, ["-audience", "db"])
    assert.equal((await source.validate(textOf(events[0], "token"), "db")).spiffeId, WEB)
    const { token } = await source.fetch("db")
    const validated = await runGoSpiffe("validate", web.socket, ["-audience", "db", "-token", token])
    assert.equal(validated.code, 0, validated.error)
  })
})

async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}
