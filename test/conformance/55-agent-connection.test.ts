import assert from "node:assert/strict"
import { createHash, createPublicKey, verify } from "node:crypto"
import dns from "node:dns"
import { rm, writeFile } from "node:fs/promises"
import { test } from "node:test"
import { makeAgentMetrics } from "../../src/adapters/metrics/agent-registry.ts"
import { processKeys } from "../../src/adapters/process-keys/process-keys.ts"
import { provenKeyMessage } from "../../src/core/x509/csr.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import type { BatchIssueX509Request, IdentityServer } from "../../src/gen/assay/v1/identity.ts"
import type { AuthorityUpdate, IdentityAuthority } from "../../src/ports/identity-authority.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { listenHttps } from "../support/https-endpoint.ts"
import { never, ORDER, SERVER, setUpClient } from "../support/identity-client-under-test.ts"
import { startIdentityServer } from "../support/identity-server.ts"
import { listenTcpProxy } from "../support/tcp-proxy.ts"
import { makeTestCa, type TestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

test("[AGT-15] a snapshot that cannot be read is refused with the reason, and the stream goes on", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  const bundle = (der: Uint8Array) => ({
    trustDomain: ca.trustDomain,
    x509Authorities: [Buffer.from(der)],
    jwtAuthorities: Buffer.from('{"keys":[]}'),
    sequence: 1,
    refreshHintSeconds: 0,
  })
  const snapshot = (epoch: number, der: Uint8Array) => {
    const value = { epoch, incarnation: "i", bundle: bundle(der), federated: [], identities: [] }
    return { message: { $case: "snapshot", value } } as const
  }
  const acks: { epoch: number; nackReason: string }[] = []
  await using server = await startIdentityServer(ca, SERVER, {
    subscribe: (stream) => {
      stream.on("error", () => undefined)
      stream.on("data", ({ message }) => message?.$case === "ack" && acks.push(message.value))
      stream.write(snapshot(1, Buffer.from("no certificate")))
      stream.write(snapshot(2, ca.root.certificate.der))
    },
  })
  await using client = setup.open(server.port)
  const stop = new AbortController()
  const updates: AuthorityUpdate[] = []
  for await (const update of client.subscribe(stop.signal).updates) {
    updates.push(update)
    await until("the refusal", () => acks.length > 0)
    stop.abort()
  }
  assert.partialDeepStrictEqual(updates, [{ kind: "snapshot", snapshot: { epoch: 2 } }])
  assert.equal(acks[0]?.epoch, 1)
  assert.match(acks[0]?.nackReason ?? "", /cannot be read/)
})

test("[AGT-30] reads the token anew for every call", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  await using server = await startIdentityServer(ca, SERVER)
  await using client = setup.open(server.port)
  await client.issueJwt([ORDER], never)
  await writeFile(setup.tokenFile, "token-2")
  await client.issueJwt([ORDER], never)
  assert.deepEqual(
    server.calls.map(({ authorization }) => authorization),
    ["Bearer token-1", "Bearer token-2"],
  )
})

for (const [what, text] of [
  ["longer than 16 KiB", "t".repeat(16 * 1024 + 1)],
  ["empty", " \n"],
  ["not a token", "two words"],
] as const) {
  test(`[AGT-30] sends nothing when the token file is ${what}, and recovers by itself`, async () => {
    const ca = makeTestCa()
    await using setup = await setUpClient(ca)
    await using server = await startIdentityServer(ca, SERVER)
    await using client = setup.open(server.port)
    await writeFile(setup.tokenFile, text)
    await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message: /token file/ })
    assert.deepEqual(server.calls, [])
    await writeFile(setup.tokenFile, "t".repeat(12 * 1024))
    assert.equal((await client.issueJwt([ORDER], never)).length, 1)
  })
}

test("[AGT-34] the proof of possession is good for the token of its call and for no other", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  const requests: BatchIssueX509Request[] = []
  await using server = await startIdentityServer(ca, SERVER, {
    batchIssueX509: (call, reply) => {
      requests.push(call.request)
      const value = { code: "not-ready", message: "", reason: "", retryAfterSeconds: 0, next: "" }
      reply(null, { results: [{ result: { $case: "problem", value } }], bundle: undefined })
    },
  })
  await using client = setup.open(server.port)
  const key = await processKeys.makeWorkloadKey("ec-p256")
  await client.issueX509([{ spiffeId: ORDER.spiffeId, key }], never)
  const evidence = requests[0]?.items[0]?.key
  assert.ok(evidence?.$case === "provenKey")
  const { publicKey, proof } = evidence.value
  const spki = createPublicKey({ key: publicKey, format: "der", type: "spki" })
  const isProofFor = (token: string) =>
    verify("sha256", provenKeyMessage(createHash("sha256").update(token).digest(), publicKey), spki, proof)
  assert.equal(isProofFor("token-1"), true)
  assert.equal(isProofFor("token-2"), false)
})

test("[AGT-33][AGT-35] a call that is not answered ends at its deadline, and one that is given up at once", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  await using server = await startIdentityServer(ca, SERVER, { batchIssueJwt: () => undefined })
  await using client = setup.open(server.port, { timeout: 300 })
  // Workloads are told this: no address of the server.
  const message = "the server did not answer in time"
  await assert.rejects(client.issueJwt([ORDER], never), { code: "deadline", message })
  await assert.rejects(client.issueJwt([ORDER], AbortSignal.abort()), { code: "cancelled" })
})

test("[AGT-50] a server that has moved is found under its name without delay", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  await using server = await startIdentityServer(ca, SERVER)
  const { lookup } = dns.promises
  let address = "127.0.0.2" // where nobody listens
  const moving = async () => [{ address, family: 4 }]
  Object.assign(dns.promises, { lookup: moving })
  try {
    await using client = setup.open(server.port, { host: "moves.example" })
    await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready" })
    address = "127.0.0.1"
    const isIssued = () => client.issueJwt([ORDER], never).then(Boolean, () => false)
    await until("the new address", isIssued, 15_000, 100)
  } finally {
    Object.assign(dns.promises, { lookup })
  }
})

test("[AGT-36] a bundle that was adopted verifies new connections, and a stream that is open stays", async () => {
  const [ca, next] = [makeTestCa(), makeTestCa()]
  await using setup = await setUpClient(ca)
  let streamsEnded = 0
  const first = await startIdentityServer(ca, SERVER, {
    subscribe: (stream) => {
      stream.on("cancelled", () => streamsEnded++)
      sendBundle(stream, next)
    },
  })
  await using client = setup.open(first.port)
  const updates = await adoptBundle(client)
  // The first server has no certificate below the new root, so a new connection to it is refused...
  await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message: /not trusted/ })
  // ...while the stream, which was verified when it was opened, is left alone.
  assert.equal(streamsEnded, 0)
  const ended = assert.rejects(updates.next())
  await first[Symbol.asyncDispose]()
  await ended
  await using _second = await startIdentityServer(next, SERVER, {}, first.port)
  const isIssued = () =>
    client.issueJwt([ORDER], never).then(
      () => true,
      () => false,
    )
  await until("a connection below the new root", isIssued)
  assert.deepEqual(setup.warnings, [])
})

test("[AGT-36] a bundle that is adopted while the bootstrap is read is newer than that", async () => {
  const [ca, next, newest] = [makeTestCa(), makeTestCa(), makeTestCa()]
  await using setup = await setUpClient(ca)
  const answer = encodePem("CERTIFICATE", ca.root.certificate.der)
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  await using web = await listenHttps((_, response) => {
    const wait = web.requests.length > 1 ? gate : Promise.resolve()
    void wait.then(() => response.end(answer))
  })
  const changed = Promise.withResolvers<void>()
  await using server = await startIdentityServer(ca, SERVER, {
    subscribe: (stream) => {
      sendBundle(stream, next)
      void changed.promise.then(() => sendBundle(stream, newest, 3))
    },
  })
  const clock = new FakeClock(1_800_000_000)
  const bootstrap = { kind: "bundle-url", url: web.url, caFile: web.caFile } as const
  await using client = setup.open(server.port, { bootstrap, clock })
  const stop = new AbortController()
  const subscription = client.subscribe(stop.signal)
  const updates = subscription.updates[Symbol.asyncIterator]()
  await updates.next()
  subscription.acknowledge(2, undefined)
  await clock.advance(1.1)
  const refused = () => assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message: /not trusted/ })
  await refused()
  const pending = refused() // the bootstrap would let it through
  await until("the bootstrap to be asked for", () => web.requests.length === 2)
  changed.resolve()
  await updates.next()
  subscription.acknowledge(3, undefined)
  open()
  await pending
  assert.ok(!server.calls.some(({ method }) => method === "batchIssueJwt"))
  stop.abort()
})

test("[AGT-36] a bundle with the roots that it verifies by already costs no new connection", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  await using server = await startIdentityServer(ca, SERVER)
  await using proxy = await listenTcpProxy(server.port)
  await using client = setup.open(proxy.port)
  const subscription = client.subscribe(never)
  const updates = subscription.updates[Symbol.asyncIterator]()
  await updates.next()
  subscription.acknowledge(1, undefined)
  assert.equal((await client.issueJwt([ORDER], never)).length, 1)
  assert.equal(proxy.accepted, 1)
  await updates.return?.()
})

test("[AGT-36] a snapshot that was refused changes nothing", async () => {
  const [ca, other] = [makeTestCa(), makeTestCa()]
  await using setup = await setUpClient(ca)
  await using server = await startIdentityServer(ca, SERVER)
  await using client = setup.open(server.port)
  const subscription = client.subscribe(never)
  const updates = subscription.updates[Symbol.asyncIterator]()
  await updates.next()
  await setup.trust(other)
  subscription.acknowledge(1, "of another trust domain")
  assert.equal((await client.issueJwt([ORDER], never)).length, 1)
  assert.deepEqual(setup.warnings, [])
  await updates.return?.()
})

test("[AGT-37] bootstraps again when the root was replaced while it was away, backed off", async () => {
  const [ca, next] = [makeTestCa(), makeTestCa()]
  await using setup = await setUpClient(ca)
  await using server = await startIdentityServer(next, SERVER)
  const clock = new FakeClock(1_800_000_000)
  await using client = setup.open(server.port, { clock })
  const refused = () => assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message: /not trusted/ })
  const bootstraps = () => setup.warnings.filter(({ message }) => message.includes("bootstrapping again")).length
  for (let i = 0; i < 3; i++) await refused()
  assert.equal(bootstraps(), 1)
  await clock.advance(1.1)
  for (let i = 0; i < 3; i++) await refused()
  assert.equal(bootstraps(), 2)
  await setup.trust(next)
  await clock.advance(1.1)
  await refused()
  await clock.advance(1)
  await refused()
  assert.equal(bootstraps(), 3)
  assert.equal((await client.issueJwt([ORDER], never))[0]?.kind, "issued")
  assert.deepEqual(
    server.calls.map(({ method }) => method),
    ["batchIssueJwt"],
  )
})

test("[AGT-43] a bootstrap that is out of date is no dead end: it goes back to the bundle that it adopted", async () => {
  const [ca, next] = [makeTestCa(), makeTestCa()]
  await using setup = await setUpClient(ca)
  const clock = new FakeClock(1_800_000_000)
  const first = await startIdentityServer(ca, SERVER, { subscribe: (stream) => sendBundle(stream, next) })
  await using client = setup.open(first.port, { clock })
  const updates = await adoptBundle(client)
  const refused = () => assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message: /not trusted/ })
  await refused()
  assert.equal(setup.warnings.length, 0, "it may show the new root in a moment")
  await clock.advance(1.1)
  await refused() // so the bootstrap is read, which never will
  const ended = assert.rejects(updates.next())
  await first[Symbol.asyncDispose]()
  await ended
  await using _second = await startIdentityServer(next, SERVER, {}, first.port)
  await refused()
  assert.equal((await client.issueJwt([ORDER], never))[0]?.kind, "issued")
  assert.match(setup.warnings.at(-1)?.message ?? "", /back to the newest bundle/)
})

test("[AGT-43] a bootstrap that cannot be read is no dead end either", async () => {
  const [ca, next] = [makeTestCa(), makeTestCa()]
  await using setup = await setUpClient(ca)
  const clock = new FakeClock(1_800_000_000)
  const first = await startIdentityServer(ca, SERVER, { subscribe: (stream) => sendBundle(stream, next) })
  await using client = setup.open(first.port, { clock })
  const updates = await adoptBundle(client)
  await rm(setup.bundleFile)
  await clock.advance(1.1)
  await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message: /not trusted/ })
  const ended = assert.rejects(updates.next())
  await first[Symbol.asyncDispose]()
  await ended
  await using _second = await startIdentityServer(next, SERVER, {}, first.port)
  assert.equal((await client.issueJwt([ORDER], never))[0]?.kind, "issued")
  assert.match(setup.warnings.at(-1)?.message ?? "", /gives no roots/)
})

test("[AGT-42] whoever is asked to stop does not wait for a bootstrap that does not come", async () => {
  await using setup = await setUpClient(makeTestCa())
  await using web = await listenHttps(() => undefined)
  await using client = setup.open(1, { bootstrap: { kind: "bundle-url", url: web.url, caFile: web.caFile } })
  const stop = new AbortController()
  const order = assert.rejects(client.issueJwt([ORDER], stop.signal), { code: "cancelled" })
  const update = assert.rejects(
    async () => {
      for await (const _ of client.subscribe(stop.signal).updates) assert.fail("there is no server")
    },
    { code: "cancelled" },
  )
  await until("the bootstrap to be asked for", () => web.requests.length === 1)
  stop.abort()
  await Promise.all([order, update])
})

test("[AGT-37] a server that is away is not one that is not trusted", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  const server = await startIdentityServer(ca, SERVER)
  await server[Symbol.asyncDispose]()
  await using client = setup.open(server.port)
  await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message: /cannot be reached/ })
  assert.deepEqual(setup.warnings, [])
})

test("[AGT-38] the insecure bootstrap fetches the bundle without the token, then verifies, and is announced", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  await using server = await startIdentityServer(ca, SERVER)
  await using client = setup.open(server.port, { bootstrap: { kind: "insecure" } })
  await client.issueJwt([ORDER], never)
  assert.deepEqual(server.calls, [
    { method: "fetchBundle", authorization: undefined },
    { method: "batchIssueJwt", authorization: "Bearer token-1" },
  ])
  assert.partialDeepStrictEqual(setup.warnings, [{ fields: { insecure: true } }])
  for (const insecure of [true, false]) {
    const facts = { ready: false, identities: 0, epoch: 0, firstNotAfter: 0, leastLifeLeft: 1 }
    const text = await makeAgentMetrics(() => facts, insecure).registry.metrics()
    assert.match(text, new RegExp(`^assay_agent_insecure_bootstrap ${insecure ? 1 : 0}$`, "m"))
  }
})

test("[AGT-38] the insecure bootstrap refuses a server of another trust domain", async () => {
  const foreign = makeTestCa({ trustDomain: "evil.example" })
  await using setup = await setUpClient(makeTestCa())
  await using server = await startIdentityServer(foreign, "spiffe://evil.example/assay/server")
  await using client = setup.open(server.port, { bootstrap: { kind: "insecure" } })
  await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message: /evil\.example/ })
  assert.deepEqual(
    server.calls.map(({ authorization }) => authorization),
    [undefined],
  )
})

/** A snapshot in which the trust domain has the root of `ca` alone. */
/** The updates of a stream whose first one, of epoch 2, was adopted. */
async function adoptBundle(client: Pick<IdentityAuthority, "subscribe">): Promise<AsyncIterator<AuthorityUpdate>> {
  const subscription = client.subscribe(never)
  const updates = subscription.updates[Symbol.asyncIterator]()
  await updates.next()
  subscription.acknowledge(2, undefined)
  return updates
}

function sendBundle(stream: Parameters<IdentityServer["subscribe"]>[0], ca: TestCa, epoch = 2): void {
  stream.on("error", () => undefined).on("data", () => undefined)
  const bundle = {
    trustDomain: ca.trustDomain,
    x509Authorities: [Buffer.from(ca.root.certificate.der)],
    jwtAuthorities: Buffer.from('{"keys":[]}'),
    sequence: epoch,
    refreshHintSeconds: 0,
  }
  const value = { epoch, incarnation: "i", bundle, federated: [], identities: [] }
  stream.write({ message: { $case: "snapshot", value } })
}
