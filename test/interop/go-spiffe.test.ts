import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { encodePem } from "../../src/core/x509/pem.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { openLiveWorkload } from "../support/live-workload.ts"
import { runGoSpiffe, startGoSpiffe, verifyWithGo } from "../support/peers/go-spiffe.ts"
import { type JsonEvent, textOf } from "../support/peers/json-lines.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { eventIds, eventSerials } from "../support/peers/workload-events.ts"
import { makeTestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://example.org/ns/demo/sa/web"
const DB = "spiffe://example.org/ns/demo/sa/db"

describe("go-spiffe, unmodified, at the Workload API", { skip: await skipWithout("go-spiffe") }, () => {
  const ca = makeTestCa()
  const jwtKey = makeJwtKey()

  test("fetches an X.509-SVID that verifies against the bundle beside it", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    const { code, events, error } = await runGoSpiffe("x509", web.socket)
    assert.equal(code, 0, error)
    assert.deepEqual(events.map(eventIds), [[WEB]])
  })

  test("sees three rotations on one stream, the last to another root", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    await using watch = await startGoSpiffe("watch", web.socket, ["-updates", "4"])
    const next = makeTestCa()
    for (const [index, rotate] of [web.rotate, web.rotate, () => web.rotate(next, ca)].entries()) {
      await watch.waitFor((event) => event.event === "update", 20_000, index)
      rotate()
    }
    assert.equal(await watch.ended, 0, watch.logTail())
    assert.equal(new Set(watch.events.flatMap(eventSerials)).size, 4)
    assert.ok(watch.events.every((event) => event.event === "update"))
  })

  test("fetches a JWT-SVID and validates it locally and by the agent", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    const { code, events, error } = await runGoSpiffe("jwt", web.socket, ["-audience", "db"])
    assert.equal(code, 0, error)
    assert.equal(events[0]?.["id"], WEB)
    assert.deepEqual(events[0]?.["audience"], ["db"])
  })

  test("refuses a JWT-SVID for another audience", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    const { events } = await runGoSpiffe("jwt", web.socket, ["-audience", "db"])
    const token = textOf(events[0], "token")
    const wrong = await runGoSpiffe("validate", web.socket, ["-audience", "web", "-token", token])
    assert.equal(wrong.code, 1)
    assert.match(wrong.error, /audience/)
  })

  test("connects two identities by mutual TLS, across a rotation of both", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    await using db = await openLiveWorkload(DB, ca, jwtKey)
    await using server = await startGoSpiffe("mtls-server", db.socket, ["-peer", WEB])
    const listening = await server.waitFor((event) => event.event === "listening", 20_000)
    const args = ["-addr", textOf(listening, "addr"), "-peer", DB, "-count", "3"]
    for (const rotate of [() => undefined, db.rotate, web.rotate]) {
      rotate()
      const { code, events, error } = await runGoSpiffe("mtls-client", web.socket, args)
      assert.equal(code, 0, error)
      assert.deepEqual(new Set(events.map((event) => event["peer"])), new Set([DB]))
    }
    const served = () => server.events.filter((event) => event.event === "served" && event["peer"] === WEB)
    await until("nine calls", () => served().length === 9)
  })

  test("refuses a server with the wrong identity, and a client with the wrong identity", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    await using db = await openLiveWorkload(DB, ca, jwtKey)
    await using server = await startGoSpiffe("mtls-server", db.socket, ["-peer", WEB])
    const listening = await server.waitFor((event) => event.event === "listening", 20_000)
    const addr = textOf(listening, "addr")
    const wrongServer = await runGoSpiffe("mtls-client", web.socket, ["-addr", addr, "-peer", WEB])
    assert.equal(wrongServer.code, 1)
    assert.match(wrongServer.error, /unexpected ID/)
    const wrongClient = await runGoSpiffe("mtls-client", db.socket, ["-addr", addr, "-peer", DB])
    assert.equal(wrongClient.code, 1)
    const refused = (event: JsonEvent) => event.event === "refused" && /unexpected ID/.test(textOf(event, "message"))
    await server.waitFor(refused, 20_000)
  })

  test("is told PermissionDenied when the workload has no identity", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    web.source.deny()
    const { code, error } = await runGoSpiffe("x509", web.socket)
    assert.equal(code, 1)
    assert.match(error, /PermissionDenied/)
  })

  test("accepts chains of the profile with crypto/x509 too, and not those of another root", async () => {
    const pem = (leaf: { readonly chain: readonly Uint8Array[] }) =>
      leaf.chain.map((der) => encodePem("CERTIFICATE", der)).join("")
    const verdicts = await verifyWithGo({
      trustDomain: "example.org",
      bundle: encodePem("CERTIFICATE", ca.root.certificate.der),
      chains: [pem(ca.issueLeaf(WEB)), pem(makeTestCa().issueLeaf(WEB))],
    })
    assert.equal(verdicts[0]?.id, WEB, String(verdicts[0]?.problem))
    assert.match(verdicts[1]?.problem ?? "", /unknown authority/)
  })
})
