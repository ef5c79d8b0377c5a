import assert from "node:assert/strict"
import { test } from "node:test"
import { credentials, Metadata, makeClientConstructor } from "@grpc/grpc-js"
import { IdentityError } from "../../src/core/errors.ts"
import { parseWorkloadEndpoint } from "../../src/core/spiffe/endpoint.ts"
import { SpiffeWorkloadAPIService } from "../../src/gen/spiffe/workload.ts"
import { allKeys, configJsonSchema } from "../../src/main/config/json-schema.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeSvid, fakeView } from "../support/fake-view.ts"
import { openWorkloadPeer, PEER_STREAMS, StreamReader, secured, unary } from "../support/workload-peer.ts"

const WRONG_HEADERS: readonly (readonly [string, readonly string[]])[] = [
  ["no header", []],
  ["another value", ["false"]],
  ["another case", ["True"]],
  ["two values", ["true", "true"]],
]

for (const [what, values] of WRONG_HEADERS) {
  test(`[WE-04] a request with ${what} is InvalidArgument, whether stream or unary`, async () => {
    const source = new FakeSource()
    source.ready(fakeView())
    await using peer = await openWorkloadPeer(source)
    const metadata = new Metadata()
    for (const value of values) metadata.add("workload.spiffe.io", value)
    using svids = new StreamReader(peer.client.fetchX509Svid({}, metadata))
    const refusal = { code: 3, details: "security header missing from request" }
    await assert.rejects(svids.next(), refusal)
    await assert.rejects(
      unary((done) => peer.client.fetchJwtsvid({ audience: ["db"], spiffeId: "" }, metadata, done)),
      refusal,
    )
    using wit = new StreamReader(peer.client.fetchWitsvid({ spiffeId: "" }, metadata))
    await assert.rejects(wit.next(), refusal)
    assert.deepEqual(source.observations, [])
  })
}

test("[WE-01][WE-05] it serves gRPC on a unix socket without TLS", async () => {
  const source = new FakeSource()
  source.ready(fakeView())
  await using peer = await openWorkloadPeer(source)
  assert.match(peer.address, /^unix:\/\/\//)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  assert.equal((await svids.next()).svids.length, 1)
})

test("[WE-02] no setting makes the agent serve workloads over TCP", () => {
  const keys = [...allKeys(configJsonSchema("agent"))].map(({ key }) => key)
  assert.deepEqual(
    keys.filter((key) => /address|listen|port|tcp|^socket\./.test(key)),
    ["server.address", "socket.path", "socket.mode", "health.listen"],
  )
})

test("[WE-07] a caller whose identity is not there yet, or no longer, gets Unavailable", async () => {
  const source = new FakeSource()
  await using peer = await openWorkloadPeer(source)
  using early = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  await assert.rejects(early.next(), { code: 14 })
  source.ready(fakeView())
  using running = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  await running.next()
  source.wait(new IdentityError("not-ready", "all SVIDs have expired"))
  await assert.rejects(running.next(), { code: 14, details: "all SVIDs have expired" })
})

test("[WE-07] more streams than the limit are told to come back, and closing one makes room", async () => {
  const source = new FakeSource()
  source.ready(fakeView())
  await using peer = await openWorkloadPeer(source)
  const readers = Array.from({ length: PEER_STREAMS }, () => new StreamReader(peer.client.fetchX509Svid({}, secured())))
  for (const reader of readers) await reader.next()
  using over = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  await assert.rejects(over.next(), { code: 14 })
  for (const reader of readers) reader[Symbol.dispose]()
  await until(() => source.waiting === 0)
  using again = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  assert.equal((await again.next()).svids.length, 1)
})

test("[WE-07] a server that is rate limited or refuses the agent's proof is Unavailable to the workload", async () => {
  const source = new FakeSource()
  source.ready(fakeView())
  await using peer = await openWorkloadPeer(source)
  for (const code of ["rate-limited", "unauthenticated", "attestation-denied", "attestor-down"] as const) {
    source.answerJwt = () => {
      throw new IdentityError(code, "not now")
    }
    const call = unary((done) => peer.client.fetchJwtsvid({ audience: ["db"], spiffeId: "" }, secured(), done))
    await assert.rejects(call, { code: 14 })
  }
})

test("[WE-08] a caller without identity gets PermissionDenied", async () => {
  const source = new FakeSource()
  source.deny()
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  await assert.rejects(svids.next(), { code: 7 })
})

test("[WE-09] an unknown method is Unimplemented", async () => {
  const source = new FakeSource()
  source.ready(fakeView())
  await using peer = await openWorkloadPeer(source)
  const { fetchJwtsvid } = SpiffeWorkloadAPIService
  const Unknown = makeClientConstructor({ mint: { ...fetchJwtsvid, path: "/SpiffeWorkloadAPI/Mint" } }, "Unknown")
  const client = new Unknown(peer.address, credentials.createInsecure())
  const status = await new Promise<unknown>((resolve) => {
    client.makeUnaryRequest(
      "/SpiffeWorkloadAPI/Mint",
      fetchJwtsvid.requestSerialize,
      fetchJwtsvid.responseDeserialize,
      { audience: [], spiffeId: "" },
      secured(),
      (error) => resolve(error?.code),
    )
  })
  client.close()
  assert.equal(status, 12)
})

test("[WE-11] the service has the methods of the specification and no other", () => {
  assert.deepEqual(
    Object.values(SpiffeWorkloadAPIService)
      .map(({ path }) => path.replace("/SpiffeWorkloadAPI/", ""))
      .sort(),
    [
      "FetchJWTBundles",
      "FetchJWTSVID",
      "FetchWITBundles",
      "FetchWITSVID",
      "FetchX509Bundles",
      "FetchX509SVID",
      "ValidateJWTSVID",
    ],
  )
})

test("[WE-13] a slow reader gets the newest state, not the history", async () => {
  const source = new FakeSource()
  const big = (n: number) =>
    fakeView({ svids: [fakeSvid(`spiffe://prod.example/n/${n}`, { chain: [Buffer.alloc(1 << 20, n)] })] })
  source.ready(big(0))
  await using peer = await openWorkloadPeer(source)
  const stream = peer.client.fetchX509Svid({}, secured())
  stream.pause()
  await until(() => source.observations.length === 1)
  const last = 40
  for (let n = 1; n <= last; n++) {
    source.ready(big(n))
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  const seen: string[] = []
  using reader = new StreamReader(stream)
  while (seen.at(-1) !== `spiffe://prod.example/n/${last}`) seen.push((await reader.next()).svids[0]?.spiffeId ?? "")
  assert.ok(seen.length < last / 2, `${seen.length} messages`)
})

test("[WE-14] a consumer is reported while its stream is open, with the epoch that was sent to it, and not after", async () => {
  const source = new FakeSource()
  source.ready(fakeView())
  await using peer = await openWorkloadPeer(source)
  const reader = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  await reader.next()
  await until(() => [...source.reports.values()].some(({ kind, epoch }) => kind === "workload-api" && epoch === 1))
  assert.equal(source.reports.size, 1)
  // Of a stream that was sent nothing yet no epoch is said.
  assert.deepEqual(
    source.observations.map(({ report }) => report?.epoch),
    [0, 1],
  )
  reader[Symbol.dispose]()
  await until(() => source.reports.size === 0)
})

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("condition not met in time")
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test("[WE-06] the security header is all that a caller has to send", async () => {
  const source = new FakeSource()
  source.ready(fakeView())
  await using peer = await openWorkloadPeer(source)
  assert.deepEqual(Object.keys(secured().getMap()), ["workload.spiffe.io"])
  const reply = unary((done) => peer.client.fetchJwtsvid({ audience: ["db"], spiffeId: "" }, secured(), done))
  await assert.doesNotReject(reply)
})

test("[WE-10] an endpoint is unix:///absolute/path or tcp://IP:port", () => {
  assert.deepEqual(parseWorkloadEndpoint("unix:///run/api.sock"), { kind: "unix", path: "/run/api.sock" })
  assert.deepEqual(parseWorkloadEndpoint("tcp://127.0.0.1:8000"), { kind: "tcp", host: "127.0.0.1", port: 8000 })
  assert.deepEqual(parseWorkloadEndpoint("tcp://[::1]:8000"), { kind: "tcp", host: "::1", port: 8000 })
})

const WRONG_ENDPOINTS = [
  "",
  "/run/api.sock",
  "unix:/run/api.sock",
  "unix://run/api.sock",
  "unix:///",
  "unix:///run/api.sock?x=1",
  "unix:///run/api.sock#x",
  "tcp://localhost:8000",
  "tcp://127.0.0.1",
  "tcp://127.0.0.1:0",
  "tcp://127.0.0.1:65536",
  "tcp://127.0.0.256:80",
  "tcp://127.0.0.1:80/path",
  "tcp://[localhost]:80",
  "tcp://127.0.0.01:80",
  "tcp://[127.0.0.1]:80",
  "tcp://[:::]:80",
  "tcp://[1:2:3]:80",
  "npipe:///x",
]

for (const text of WRONG_ENDPOINTS) {
  test(`[WE-10] refuses the endpoint "${text}"`, () => {
    assert.throws(() => parseWorkloadEndpoint(text), { code: "malformed" })
  })
}
