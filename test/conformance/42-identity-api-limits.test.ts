import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { once } from "node:events"
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2"
import { after, test } from "node:test"
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls"
import { Client, credentials, Metadata } from "@grpc/grpc-js"
import { issueServing } from "../../src/app/issue/issue-serving.ts"
import { parseIpAddress } from "../../src/core/x509/ip-address.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { HealthClient, HealthCheckResponse_ServingStatus as Serving } from "../../src/gen/grpc/health/v1/health.ts"
import { bearer, failureOf, IdentityPeer, JWT } from "../support/identity-peer.ts"
import { openServerUnderTest } from "../support/server-under-test.ts"
import { Subscriber } from "../support/subscriber.ts"
import { until } from "../support/until.ts"

const LIMITS = { message_size: "64KiB", header_size: "8KiB", token_size: "6KiB", streams_per_connection: 3 }
const server = await openServerUnderTest({ config: { limits: LIMITS } })
after(() => server[Symbol.asyncDispose]())
const token = server.setup.token()
const TLS = { host: "127.0.0.1", port: server.port, ca: server.roots, servername: "localhost" }

test("[IDA-20] a message beyond the limit is refused, and the connection lives on", async () => {
  using peer = new IdentityPeer(server)
  const failure = await failureOf(peer.jwt({ audience: ["x".repeat(70_000)] }, token))
  assert.equal(failure.status, 8)
  await peer.jwt({}, token)
})

test("[IDA-21] a header block beyond the limit is refused before anybody looks at it, and the server lives on", async () => {
  using peer = new IdentityPeer(server)
  const attempts = server.metrics.attestations
  const before = JSON.stringify(await attempts.get())
  const failure = await failureOf(peer.jwt({}, "x".repeat(9000)))
  assert.ok([8, 13, 14].includes(failure.status), `${failure.status} ${failure.message}`)
  assert.equal(failure.code, "")
  assert.equal(JSON.stringify(await attempts.get()), before)
  await peer.jwt({}, token)
})

test("[IDA-21][IDA-22] the bounds of headers and streams are told to every client by its connection", async () => {
  await using session = await openSession()
  const { maxHeaderListSize, maxConcurrentStreams } = session.client.remoteSettings
  assert.deepEqual({ maxHeaderListSize, maxConcurrentStreams }, { maxHeaderListSize: 8192, maxConcurrentStreams: 3 })
})

test("[IDA-22] a call beyond the streams of its connection is not served while they live; other connections are", async () => {
  using peer = new IdentityPeer(server)
  const streams = [1, 2, 3].map(() => new Subscriber(peer, token))
  for (const stream of streams) stream.hello()
  await until("three streams", () => server.listeners.subscribers.size === 3)
  assert.equal(await statusWithin(peer, 300), 4)
  using other = new IdentityPeer(server)
  await other.jwt({}, token)
  for (const stream of streams) stream[Symbol.dispose]()
  await until("a free stream", () => server.listeners.subscribers.size === 0)
  await peer.jwt({}, token)
})

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`[IDA-23] ${version}: no session is resumed, neither by ticket nor by id`, async () => {
    const sessions: Buffer[] = []
    const first = await shakeHands({ minVersion: version, maxVersion: version }, sessions)
    const offered = sessions.at(-1) ?? first.getSession()
    first.destroy()
    assert.ok(offered !== undefined)
    const again = await shakeHands({ minVersion: version, maxVersion: version, session: offered })
    assert.equal(again.isSessionReused(), false)
    assert.equal(again.getProtocol(), version)
    again.destroy()
  })
}

test("[IDA-23] nothing below TLS 1.2 is spoken, and no other protocol than HTTP/2", async () => {
  const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" } as const
  await assert.rejects(shakeHands(old))
  assert.equal((await shakeHands({})).alpnProtocol, "h2")
  await assert.rejects(shakeHands({ ALPNProtocols: ["http/1.1"] }))
})

test("[IDA-24] the server proves itself with the reserved identity, under the bundle, by the configured names", async () => {
  const socket = await shakeHands({})
  const leaf = new X509Certificate(socket.getPeerCertificate().raw)
  socket.destroy()
  assert.equal(leaf.subjectAltName, "URI:spiffe://prod.example/assay/server, DNS:localhost, IP Address:127.0.0.1")
  const logged = await server.state.store.issuanceLog.search({ serial: leaf.serialNumber.toLowerCase(), limit: 1 })
  assert.deepEqual([logged[0]?.intent.rule, logged.length], ["assay/server", 1])
})

test("[IDA-25] a new serving certificate is shown to new connections, live ones go on, and a bad one changes nothing", async () => {
  using peer = new IdentityPeer(server)
  using stream = new Subscriber(peer, token)
  stream.hello()
  await stream.snapshot()
  const serialOf = async () => {
    const socket = await shakeHands({})
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber
  }
  const before = await serialOf()
  server.tls.replace(await makeServing())
  const renewed = await serialOf()
  assert.notEqual(renewed, before)
  const { key } = await makeServing()
  assert.throws(() => server.tls.replace({ chain: server.roots, key }))
  assert.equal(await serialOf(), renewed)
  assert.equal(stream.isOpen, true)
  await peer.jwt({}, token)
})

test("[IDA-26] gRPC health answers for the server and each service, and tells watchers of changes", async () => {
  const client = new HealthClient(server.address, credentials.createSsl(Buffer.from(server.roots)), {
    "grpc.ssl_target_name_override": "localhost",
  })
  const check = (service: string) =>
    new Promise<number>((resolve) => {
      client.check({ service }, (error, reply) => resolve(error === null ? reply.status : -error.code))
    })
  assert.equal(await check(""), Serving.SERVING)
  assert.equal(await check("assay.v1.Identity"), Serving.SERVING)
  assert.equal(await check("envoy.service.secret.v3.SecretDiscoveryService"), Serving.SERVING)
  assert.equal(await check("unknown.Service"), -5)
  const seen: number[] = []
  const watch = client.watch({ service: "" })
  watch.on("data", ({ status }: { status: number }) => seen.push(status))
  watch.on("error", () => undefined)
  await until("the first status", () => seen.length === 1)
  server.readiness.ready = false
  server.readiness.changed()
  await until("the second status", () => seen.length === 2)
  assert.deepEqual(seen, [Serving.SERVING, Serving.NOT_SERVING])
  assert.equal(await check(""), Serving.NOT_SERVING)
  server.readiness.ready = true
  watch.cancel()
  client.close()
})

test("[IDA-20] what is not gRPC, or not a method of ours, is answered and harms nobody", async () => {
  await using session = await openSession()
  const request = session.client.request({
    ":path": "/assay.v1.Identity/Nothing",
    ":method": "POST",
    "content-type": "application/grpc",
    te: "trailers",
  })
  const [headers]: { "grpc-status"?: string }[] = await once(request, "response")
  assert.equal(headers?.["grpc-status"], "12")
  const plain = session.client.request({ ":path": "/", ":method": "GET" })
  const [answer]: { ":status"?: number }[] = await once(plain, "response")
  assert.equal(answer?.[":status"], constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE)
  using peer = new IdentityPeer(server)
  await peer.jwt({}, token)
})

function statusWithin({ client }: IdentityPeer, millis: number): Promise<number> {
  return new Promise((resolve) => {
    client.issueJwt(JWT, bearer(token), { deadline: Date.now() + millis }, (error) => resolve(error?.code ?? 0))
  })
}

test("[IDA-27] reflection lists the services of the listener", async () => {
  const client = new Client(server.address, credentials.createSsl(Buffer.from(server.roots)), {
    "grpc.ssl_target_name_override": "localhost",
  })
  // ServerReflectionRequest { list_services: "*" }, and the reply as text: names stand in it as they are.
  const request = Buffer.from([0x3a, 1, 0x2a])
  const keep = (bytes: Buffer) => bytes
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
  const call = client.makeBidiStreamRequest(path, keep, keep, new Metadata(), {})
  call.write(request)
  const [reply]: Buffer[] = await once(call, "data")
  call.end()
  for (const name of ["assay.v1.Identity", "envoy.service.secret.v3.SecretDiscoveryService"]) {
    assert.ok(reply?.includes(name), name)
  }
  client.close()
})

async function makeServing() {
  const { trust, issuing, ephemeral, serialPrefix } = server.pipeline
  const plan = {
    dnsNames: ["localhost"],
    ipAddresses: [parseIpAddress("127.0.0.1")],
    ttl: 600,
    backdate: 10,
    serialPrefix,
  }
  const random = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes))
  const { clock } = server
  const { signIntent } = server.pipeline
  const { chain, key } = await issueServing({ trust, issuing, ephemeral, signIntent, clock, random, plan })
  return {
    chain: chain.map((der) => encodePem("CERTIFICATE", der)).join(""),
    key: key.pkcs8.expose((der) => encodePem("PRIVATE KEY", der)),
  }
}

function shakeHands(options: ConnectionOptions, sessions: Buffer[] = []): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ALPNProtocols: ["h2"], ...TLS, ...options })
    socket.on("session", (session) => sessions.push(session))
    socket.once("error", reject)
    // In TLS 1.3 tickets follow the handshake, so wait for what the server says first.
    socket.once("data", () => resolve(socket))
  })
}

async function openSession(): Promise<AsyncDisposable & { readonly client: ClientHttp2Session }> {
  const client = connectHttp2(`https://${server.address}`, { ca: server.roots })
  await once(client, "remoteSettings")
  return {
    client,
    [Symbol.asyncDispose]: async () => {
      client.destroy()
    },
  }
}
