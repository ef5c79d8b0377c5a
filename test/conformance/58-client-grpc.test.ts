import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { Client, credentials, Server, ServerCredentials, type ServiceError, status } from "@grpc/grpc-js"
import {
  type Authorize,
  authorizeAny,
  authorizeId,
  makeChannelCredentials,
  makeServerCredentials,
  peerOfCall,
  type X509Holder,
} from "../../src/client/client.ts"
import { type FakeHolder, makeFakeHolder } from "../support/fake-holder.ts"
import { makeBundle, makeTestCa } from "../support/test-ca.ts"

const WEB = "spiffe://example.org/ns/demo/sa/web"
const DB = "spiffe://example.org/ns/demo/sa/db"
const ca = makeTestCa()

describe("gRPC over SVIDs", { timeout: 30_000 }, () => {
  test("[CLT-09] both sides know each other by their SPIFFE IDs", async () => {
    await using service = await startGrpc(makeServerCredentials(makeFakeHolder(ca, DB), authorizeId(WEB)))
    using client = dial(service.port, makeFakeHolder(ca, WEB), authorizeId(DB))
    assert.equal(await client.ask(), WEB)
    assert.deepEqual(service.heard, [WEB])
  })

  test("[CLT-09] a call of a client that is not let in does not reach its handler, unary or streaming", async () => {
    await using service = await startGrpc(makeServerCredentials(makeFakeHolder(ca, DB), authorizeId(WEB)))
    using client = dial(service.port, makeFakeHolder(ca, DB), authorizeId(DB))
    await assert.rejects(client.ask(), { code: status.PERMISSION_DENIED })
    await assert.rejects(client.stream(), { code: status.PERMISSION_DENIED })
    assert.deepEqual(service.heard, [])
  })

  test("[CLT-09] a client of another root, or without a certificate, gets no connection", async () => {
    await using service = await startGrpc(makeServerCredentials(makeFakeHolder(ca, DB), authorizeAny()))
    const stranger = makeTestCa()
    using client = dial(service.port, makeFakeHolder(stranger, WEB, [stranger, ca]), authorizeId(DB))
    await assert.rejects(client.ask(), { code: status.UNAVAILABLE })
    assert.deepEqual(service.heard, [])
  })

  test("[CLT-05] [CLT-09] a chain that ends in a bundle of another trust domain reaches no handler", async () => {
    const forger = makeTestCa({ trustDomain: "away.example" })
    const db = makeFakeHolder(ca, DB)
    const { bundles } = db.current()
    const own = bundles.get(ca.trustDomain)
    assert.ok(own !== undefined)
    // OpenSSL trusts the forger's root, as one of the own trust domain; there is no bundle of away.example.
    const x509Authorities = [...own.x509Authorities, ...forger.bundle.x509Authorities]
    const lured = {
      ...db,
      current: () => ({ ...db.current(), bundles: new Map([[ca.trustDomain, { ...own, x509Authorities }]]) }),
    }
    await using service = await startGrpc(makeServerCredentials(lured, authorizeAny()))
    using client = dial(service.port, makeFakeHolder(forger, "spiffe://away.example/x", [ca]), authorizeId(DB))
    await assert.rejects(client.ask(), { code: status.UNAUTHENTICATED })
    await assert.rejects(client.stream(), { code: status.UNAUTHENTICATED })
    assert.deepEqual(service.heard, [])
  })

  test("[CLT-05] a chain may end in an authority of the bundle that is no root", async () => {
    const below = { ...ca, bundle: makeBundle(ca.trustDomain, [ca.issuing.certificate.der]) }
    const [db, web] = [makeFakeHolder(ca, DB, [below]), makeFakeHolder(ca, WEB, [below])]
    await using service = await startGrpc(makeServerCredentials(db, authorizeId(WEB)))
    using client = dial(service.port, web, authorizeId(DB))
    assert.equal(await client.ask(), WEB)
  })

  test("[CLT-05] a client refuses a server with another identity", async () => {
    await using service = await startGrpc(makeServerCredentials(makeFakeHolder(ca, DB), authorizeAny()))
    using client = dial(service.port, makeFakeHolder(ca, WEB), authorizeId(WEB))
    await assert.rejects(client.ask(), (error: ServiceError) => {
      assert.equal(error.code, status.UNAVAILABLE)
      assert.match(error.details, /which is not allowed/)
      return true
    })
    assert.deepEqual(service.heard, [])
  })

  test("[CLT-08] calls go on across rotations of both sides, and new connections show the new SVIDs", async () => {
    const next = makeTestCa()
    const [db, web] = [makeFakeHolder(ca, DB, [ca, next]), makeFakeHolder(ca, WEB, [ca, next])]
    await using service = await startGrpc(makeServerCredentials(db, authorizeId(WEB)))
    using steady = dial(service.port, web, authorizeId(DB))
    const rotations = [() => db.rotate(), () => web.rotate(), () => db.rotate(next), () => web.rotate(next)]
    for (const rotate of rotations) {
      assert.equal(await steady.ask(), WEB)
      rotate()
      using fresh = dial(service.port, web, authorizeId(DB))
      assert.equal(await fresh.ask(), WEB)
      assert.equal(service.serials.at(-1), web.serial)
    }
    assert.equal(await steady.ask(), WEB)
    db.rotate(next, [next])
    using late = dial(service.port, makeFakeHolder(ca, WEB, [ca, next]), authorizeId(DB))
    await assert.rejects(late.ask(), { code: status.UNAVAILABLE })
  })

  test("[CLT-09] who makes a call is not said of a server with other credentials", async () => {
    await using service = await startGrpc(ServerCredentials.createInsecure())
    const client = new Client(`127.0.0.1:${service.port}`, credentials.createInsecure())
    assert.equal(await ask(client), "nobody")
    client.close()
  })

  test("[CLT-08] a server that is shut down follows its source no longer", async () => {
    const db = makeFakeHolder(ca, DB)
    {
      await using _service = await startGrpc(makeServerCredentials(db, authorizeAny()))
      assert.equal(db.listeners, 1)
    }
    assert.equal(db.listeners, 0)
  })
})

interface GrpcService extends AsyncDisposable {
  readonly port: number
  readonly heard: readonly string[]
  /** Of the clients' certificates, lowercase hex. */
  readonly serials: readonly string[]
}

async function startGrpc(terms: ServerCredentials): Promise<GrpcService> {
  const heard: string[] = []
  const serials: string[] = []
  const note = (call: Parameters<typeof peerOfCall>[0]): Buffer => {
    const peer = peerOfCall(call)
    heard.push(peer?.spiffeId ?? "nobody")
    serials.push(peer?.serial ?? "")
    return Buffer.from(heard.at(-1) ?? "")
  }
  const server = new Server()
  server.addService(
    { ask: { ...METHOD, path: ASK }, stream: { ...METHOD, path: STREAM, requestStream: true, responseStream: true } },
    {
      ask: (call: Call, done: (error: null, value: Buffer) => void) => done(null, note(call)),
      stream: (call: Call & { end(): void }) => {
        note(call)
        call.end()
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", terms, (error, at) => (error === null ? resolve(at) : reject(error)))
  })
  return { port, heard, serials, [Symbol.asyncDispose]: () => shutDown(server) }
}

/** Calls are over; the listener goes when its connections do. */
function shutDown(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.tryShutdown(() => resolve())
  server.forceShutdown()
  return promise
}

function dial(port: number, source: X509Holder | FakeHolder, authorize: Authorize) {
  const client = new Client(`127.0.0.1:${port}`, makeChannelCredentials(source, authorize), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
  })
  return {
    ask: () => ask(client),
    stream: () =>
      new Promise<void>((resolve, reject) => {
        const call = client.makeBidiStreamRequest(STREAM, identity, identity)
        call
          .on("error", reject)
          .on("end", resolve)
          .on("data", () => undefined)
        call.end()
      }),
    [Symbol.dispose]: () => client.close(),
  }
}

function ask(client: Client): Promise<string> {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + 10_000
    client.makeUnaryRequest(ASK, identity, identity, Buffer.alloc(0), { deadline }, (error, value) =>
      error === null ? resolve(String(value)) : reject(error),
    )
  })
}

type Call = Parameters<typeof peerOfCall>[0]
const identity = (bytes: Buffer): Buffer => bytes
const METHOD = {
  requestStream: false,
  responseStream: false,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
}
const ASK = "/test.Service/Ask"
const STREAM = "/test.Service/Stream"
