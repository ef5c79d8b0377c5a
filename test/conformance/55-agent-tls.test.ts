import assert from "node:assert/strict"
import { once } from "node:events"
import { readFile, writeFile } from "node:fs/promises"
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2"
import { join } from "node:path"
import { test } from "node:test"
import { connect, type SecureVersion, type TLSSocket } from "node:tls"
import { fetchDocument } from "../../src/adapters/identity-client/fetch-document.ts"
import { checkServerSpiffeId } from "../../src/adapters/identity-client/server-identity.ts"
import { encodeBundle } from "../../src/core/spiffe/bundle-document.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { listenHttps } from "../support/https-endpoint.ts"
import { never, ORDER, SERVER, setUpClient } from "../support/identity-client-under-test.ts"
import { startIdentityServer } from "../support/identity-server.ts"
import { makeTestCa, type TestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

test("[AGT-31][AGT-38] refuses a server with another SPIFFE ID or root before any token is sent", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  await using imposter = await startIdentityServer(ca, "spiffe://example.org/assay/serverx")
  await using workload = await startIdentityServer(ca, "spiffe://example.org/ns/shop/sa/cart", {}, 0, NAMED)
  await using stranger = await startIdentityServer(makeTestCa(), SERVER)
  for (const server of [imposter, workload, stranger]) {
    await using client = setup.open(server.port, { host: "localhost" })
    await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message: /not trusted/ })
    assert.deepEqual(server.calls, [])
  }
})

test("[AGT-31] knows the server by exactly one URI name, and no name that looks like two", () => {
  const check = checkServerSpiffeId(makeTestCa().trustDomain)
  const verdict = (subjectaltname: string) =>
    // Of a peer's certificate only the alternative names are looked at.
    check("", { subjectaltname } as Parameters<typeof check>[1])
  assert.equal(verdict(`DNS:localhost, URI:${SERVER}`), undefined)
  for (const names of [
    "",
    "DNS:localhost",
    `DNS:${SERVER}`,
    `URI:${SERVER}/`,
    `URI:${SERVER}, URI:${SERVER}`,
    `URI:${SERVER}, URI:spiffe://example.org/x`,
    `URI:"spiffe://example.org/x, URI:${SERVER}"`,
    `DNS:"a", URI:${SERVER}`,
  ]) {
    assert.ok(verdict(names) instanceof Error, names)
  }
})

test("[AGT-31] with roots from a file, knows the server by the DNS name it is called by", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  const settings = {
    knownBy: "dns-name",
    host: "localhost",
    bootstrap: { kind: "ca-file", file: setup.bundleFile },
  } as const
  await using server = await startIdentityServer(ca, "spiffe://example.org/anything", {}, 0, NAMED, makeTestCa())
  await using client = setup.open(server.port, settings)
  // The bundle of the trust domain is another matter than these roots, so adopting it changes nothing.
  const subscription = client.subscribe(never)
  const updates = subscription.updates[Symbol.asyncIterator]()
  await updates.next()
  subscription.acknowledge(1, undefined)
  assert.equal((await client.issueJwt([ORDER], never)).length, 1)
  await updates.return?.()
  await using other = await startIdentityServer(ca, SERVER, {}, 0, { dnsNames: ["other.example"] })
  await using misled = setup.open(other.port, settings)
  await assert.rejects(misled.issueJwt([ORDER], never), { code: "not-ready", message: /not trusted/ })
  assert.deepEqual(other.calls, [])
})

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`[AGT-32] no ${version} session is resumed, though the server offers tickets`, async () => {
    const ca = makeTestCa()
    await using setup = await setUpClient(ca)
    await using server = await listenWithTickets(ca, version)
    await resumeOnce(server, ca)
    assert.deepEqual(server.reused.splice(0), [false, true], "the server lets others resume")
    await using client = setup.open(server.port)
    for (let calls = 1; calls <= 3; calls++) {
      await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready" })
      await server.dropSessions()
    }
    // One for each call, and one to look why it failed, which may be gone before the server has seen it.
    assert.ok(server.reused.length >= 3, `${server.reused.length} connections`)
    assert.deepEqual(new Set(server.reused), new Set([false]))
  })
}

test("[AGT-32] refuses TLS 1.1, although the server speaks nothing else", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  await using server = await listenWithTickets(ca, "TLSv1.1")
  await using client = setup.open(server.port)
  await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready" })
  assert.deepEqual(server.reused, [])
  // That server works, for who takes it.
  const socket = connect({ port: server.port, host: "127.0.0.1", rejectUnauthorized: false, ...OLD })
  await once(socket, "secureConnect")
  assert.equal(socket.getProtocol(), "TLSv1.1")
  socket.destroy()
})

for (const [form, encode] of [
  ["a SPIFFE bundle document", (ca: TestCa) => encodeBundle(ca.bundle)],
  ["PEM", (ca: TestCa) => encodePem("CERTIFICATE", ca.root.certificate.der)],
] as const) {
  test(`[AGT-39] bootstraps from an https URL that gives ${form}, and from a file with it`, async () => {
    const ca = makeTestCa()
    await using setup = await setUpClient(makeTestCa())
    await using web = await listenHttps((_, response) => response.end(encode(ca)))
    await using server = await startIdentityServer(ca, SERVER)
    await using byUrl = setup.open(server.port, { bootstrap: { kind: "bundle-url", url: web.url, caFile: web.caFile } })
    assert.equal((await byUrl.issueJwt([ORDER], never)).length, 1)
    assert.equal(web.requests[0]?.headers.authorization, undefined)
    const file = join(setup.folder, "given")
    await writeFile(file, encode(ca))
    await using byFile = setup.open(server.port, { bootstrap: { kind: "bundle-file", file } })
    assert.equal((await byFile.issueJwt([ORDER], never)).length, 1)
  })
}

test("[AGT-38][AGT-39] gives no roots, and says why, when the URL's server is not trusted or answers otherwise", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  await using server = await startIdentityServer(ca, SERVER)
  await using web = await listenHttps(({ url }, response) => {
    if (url === "/moved") response.writeHead(302, { location: "http://127.0.0.1:1/" }).end()
    else if (url === "/long") response.end("x".repeat(1024 * 1024 + 1))
    else if (url === "/cut") response.writeHead(200, { "content-length": "100" }).end("{", () => response.destroy())
    else response.end('{"keys":[]}')
  })
  const refused = async (url: string, caFile: string | undefined, message: RegExp) => {
    await using client = setup.open(server.port, { bootstrap: { kind: "bundle-url", url, caFile } })
    await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message })
  }
  await refused(`${web.url}/moved`, web.caFile, /status 302/)
  await refused(`${web.url}/long`, web.caFile, /longer than 1 MiB/)
  await refused(`${web.url}/cut`, web.caFile, /cannot be fetched/)
  await refused(`${web.url}/empty`, web.caFile, /no X.509 authority/)
  await refused(web.url.replace("https:", "http:"), web.caFile, /not an https URL/)
  await refused(web.url, undefined, /cannot be fetched/)
  await web.distrust()
  await refused(web.url, web.caFile, /cannot be fetched/)
  assert.deepEqual(server.calls, [])
})

test("[AGT-39] gives up on a URL that is slow, and at once when it is stopped", async () => {
  await using web = await listenHttps((_, response) => response.write("{"))
  const roots = await readFile(web.caFile, "utf8")
  await assert.rejects(fetchDocument(web.url, roots, 200, never), { code: "not-ready" })
  await assert.rejects(fetchDocument(web.url, roots, 60_000, AbortSignal.timeout(50)), { code: "cancelled" })
})

interface TicketServer extends AsyncDisposable {
  readonly port: number
  /** Per TLS connection: whether it resumed a session. */
  readonly reused: boolean[]
  /** End all HTTP/2 sessions, so that clients connect anew. */
  dropSessions(): Promise<void>
}

/** A gRPC server in name only: every call is answered Unavailable. With Node's defaults it offers session tickets. */
async function listenWithTickets(ca: TestCa, version: SecureVersion): Promise<TicketServer> {
  const leaf = ca.issueLeaf(SERVER)
  const cert = leaf.chain.map((der) => encodePem("CERTIFICATE", der)).join("")
  const old = version === "TLSv1.1" ? OLD : {}
  const key = encodePem("PRIVATE KEY", leaf.pkcs8)
  const server = createSecureServer({ cert, key, ...old, minVersion: version, maxVersion: version })
  const reused: boolean[] = []
  const sessions = new Set<ServerHttp2Session>()
  server.on("secureConnection", (socket: TLSSocket) => reused.push(socket.isSessionReused()))
  server.on("session", (session) => {
    sessions.add(session)
    session.on("error", () => undefined)
    session.once("close", () => sessions.delete(session))
  })
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => undefined)
    stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "14" }, { endStream: true })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const dropSessions = async () => {
    const closed = [...sessions].map((session) => once(session, "close"))
    for (const session of sessions) session.destroy()
    await Promise.all(closed)
  }
  const close = async () => {
    await dropSessions()
    server.close()
  }
  return { port: portOf(server), reused, dropSessions, [Symbol.asyncDispose]: close }
}

/** Connect, keep the session that the server gives, and connect with it. */
async function resumeOnce(server: TicketServer, ca: TestCa): Promise<void> {
  const options = {
    port: server.port,
    host: "127.0.0.1",
    ALPNProtocols: ["h2"],
    ca: encodePem("CERTIFICATE", ca.root.certificate.der),
    checkServerIdentity: () => undefined,
  }
  const first = connect(options)
  const [session] = await once(first, "session")
  first.destroy()
  const second = connect({ ...options, session })
  await until("the second connection", () => server.reused.length === 2)
  second.destroy()
}

function portOf(server: Http2SecureServer): number {
  const address = server.address()
  if (address === null || typeof address === "string") throw new TypeError("not a TCP listener")
  return address.port
}

const NAMED = { dnsNames: ["localhost"] }
const OLD = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const
