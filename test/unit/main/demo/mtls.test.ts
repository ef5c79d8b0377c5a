import assert from "node:assert/strict"
import { test } from "node:test"
import { connect } from "node:tls"
import { parseSpiffeId } from "../../../../src/core/spiffe/id.ts"
import { dialMtls } from "../../../../src/main/demo/mtls-client.ts"
import { listenMtls } from "../../../../src/main/demo/mtls-server.ts"
import { tlsMaterial } from "../../../../src/main/demo/tls-material.ts"
import { FakeIdentity } from "../../../support/fake-identity.ts"
import { makeTestCa } from "../../../support/test-ca.ts"

const WEB = parseSpiffeId("spiffe://example.org/ns/shop/sa/web")
const WEB_2 = parseSpiffeId("spiffe://example.org/ns/shop/sa/web-2")
const API = parseSpiffeId("spiffe://example.org/ns/shop/sa/api")
const within = () => AbortSignal.timeout(60_000)
const ca = makeTestCa()

test("both sides know each other by SPIFFE ID, and every line is answered", async () => {
  const web = new FakeIdentity(ca, WEB)
  await using service = await listenMtls(new FakeIdentity(ca, API), WEB)
  using connection = await dialMtls(service.port, { identity: web, expected: API }, within())
  assert.equal(connection.peer.spiffeId, API)
  for (const line of ["one", "two"]) {
    assert.equal(await connection.ask(line, within()), `ok ${WEB} ${web.current().leaf.serial} ${line}`)
  }
})

test("the service refuses an ID that merely begins with the allowed one, after a good handshake", async () => {
  await using service = await listenMtls(new FakeIdentity(ca, API), WEB)
  using connection = await dialMtls(service.port, { identity: new FakeIdentity(ca, WEB_2), expected: API }, within())
  assert.equal(await connection.ask("hello", within()), `refused: the peer is ${WEB_2}, and only ${WEB} is allowed`)
  await assert.rejects(connection.ask("hello?", within()), /the connection has ended/)
})

test("the client refuses a service that is another one, for its identity", async () => {
  await using service = await listenMtls(new FakeIdentity(ca, WEB_2), WEB)
  const dialled = dialMtls(service.port, { identity: new FakeIdentity(ca, WEB), expected: API }, within())
  await assert.rejects(dialled, { code: "policy-denied", reason: "peer-identity" })
})

test("an authority outside the bundle is refused by TLS, in both directions, whatever ID it certified", async () => {
  const other = makeTestCa()
  await using service = await listenMtls(new FakeIdentity(ca, API), WEB)
  const wary = dialMtls(service.port, { identity: new FakeIdentity(other, WEB), expected: API }, within())
  await assert.rejects(wary, { code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY" })
  const forger = new FakeIdentity(other, WEB, ca)
  using connection = await dialMtls(service.port, { identity: forger, expected: API }, within())
  await assert.rejects(connection.ask("hello", within()), /the connection has/)
})

test("a caller without a certificate gets no answer", async () => {
  await using service = await listenMtls(new FakeIdentity(ca, API), WEB)
  const { ca: roots } = tlsMaterial(new FakeIdentity(ca, WEB).current().svid)
  const answer = await new Promise<string>((resolve) => {
    const socket = connect({ host: "127.0.0.1", port: service.port, ca: roots, checkServerIdentity: () => undefined })
    socket.on("data", (bytes) => resolve(`answered: ${bytes.toString()}`))
    socket.on("error", ({ message }) => resolve(message))
    socket.on("secureConnect", () => socket.write("hello\n"))
  })
  assert.match(answer, /certificate required/)
})

test("a rotation serves new connections, and leaves open ones open", async () => {
  const [web, api] = [new FakeIdentity(ca, WEB), new FakeIdentity(ca, API)]
  await using service = await listenMtls(api, WEB)
  using old = await dialMtls(service.port, { identity: web, expected: API }, within())
  const serials = { web: web.current().leaf.serial, api: api.current().leaf.serial }
  web.rotate()
  api.rotate()
  using fresh = await dialMtls(service.port, { identity: web, expected: API }, within())
  assert.equal(fresh.peer.serial, api.current().leaf.serial)
  assert.equal(await fresh.ask("new", within()), `ok ${WEB} ${web.current().leaf.serial} new`)
  assert.equal(await old.ask("old", within()), `ok ${WEB} ${serials.web} old`)
  assert.equal(old.peer.serial, serials.api)
  assert.notEqual(fresh.peer.serial, serials.api)
})
