import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { after, test } from "node:test"
import { parseBundle } from "../../src/core/spiffe/bundle-document.ts"
import { failureOf, IdentityPeer, provenKey, X509 } from "../support/identity-peer.ts"
import { openServerUnderTest } from "../support/server-under-test.ts"
import { makeTestCsr } from "../support/test-csr.ts"

const RULES = [
  { name: "default", spiffe_id: "/ns/{{namespace}}/sa/{{service_account}}", service_account: ["web", "twin"] },
  { name: "second", spiffe_id: "/second", service_account: ["twin"], hint: "two", x509_ttl: "10m", audiences: ["db"] },
]
const server = await openServerUnderTest({
  config: { rules: RULES, limits: { token_size: "2KiB", csr_size: "1KiB", identity_burst: 200, identity_rate: "1/s" } },
})
after(() => server[Symbol.asyncDispose]())
const peer = new IdentityPeer(server)
after(() => peer[Symbol.dispose]())
const token = server.setup.token()
const twin = server.setup.token({ serviceAccount: "twin" })
const WEB = "spiffe://prod.example/ns/shop/sa/web"

test("[IDA-01] the bundle is told to everybody: authorities, JWT keys for verifying, sequence", async () => {
  const { bundle } = await peer.fetchBundle()
  const { own } = server.pipeline.trust.snapshot()
  assert.ok(bundle !== undefined)
  assert.equal(bundle.trustDomain, "prod.example")
  assert.deepEqual(
    bundle.x509Authorities.map((der) => der.toString("hex")),
    own.x509Authorities.map(hex),
  )
  assert.equal(bundle.sequence, own.sequence)
  assert.equal(parseBundle(bundle.jwtAuthorities.toString(), own.trustDomain).jwtAuthorities.length, 1)
  assert.equal(bundle.jwtAuthorities.includes('"d"'), false)
})

test("[IDA-02] every other call needs exactly one bearer token, of a bounded length", async () => {
  const missing = { status: 16, code: "unauthenticated", reason: "token-missing" }
  assert.deepEqual(pick(await failureOf(peer.jwt())), missing)
  assert.deepEqual(pick(await failureOf(peer.x509({ key: provenKey(token) }))), missing)
  const long = { status: 16, code: "unauthenticated", reason: "token-too-long" }
  assert.deepEqual(pick(await failureOf(peer.jwt({}, "x".repeat(2049)))), long)
  const { results } = await peer.batchJwt([{ token: "x".repeat(2049) }, {}])
  assert.deepEqual(results.map(problemOf), ["unauthenticated token-too-long", "unauthenticated token-missing"])
})

test("[IDA-03] a failure names its code, its reason and the request, and each request has a name of its own", async () => {
  const failures = await Promise.all([failureOf(peer.jwt({}, "nonsense")), failureOf(peer.jwt({}, "nonsense"))])
  for (const failure of failures) {
    assert.deepEqual(pick(failure), { status: 16, code: "unauthenticated", reason: "token-malformed" })
    assert.match(failure.requestId, /^[\w-]{8}-[a-z0-9]+$/)
  }
  assert.notEqual(failures[0]?.requestId, failures[1]?.requestId)
})

test("[IDA-04] an X.509-SVID for a CSR and for a proven key, with the epoch that its verifiers need", async () => {
  for (const key of [provenKey(token), { $case: "csr", value: Buffer.from(makeTestCsr()) } as const]) {
    const issued = await peer.x509({ key, withBundle: true }, token)
    const [leaf, issuer] = issued.chain.map((der) => new X509Certificate(der))
    assert.ok(leaf !== undefined && issuer !== undefined && leaf.verify(issuer.publicKey))
    assert.ok(issuer.verify(new X509Certificate(issued.bundle?.x509Authorities[0] ?? "").publicKey))
    assert.equal(leaf.subjectAltName, `URI:${WEB}`)
    assert.equal(issued.spiffeId, WEB)
    assert.equal(issued.notAfter, leaf.validToDate.getTime() / 1000)
    assert.ok(issued.epoch <= (issued.bundle?.sequence ?? 0))
  }
  const { bundle } = await peer.x509({ key: provenKey(token) }, token)
  assert.equal(bundle, undefined)
})

test("[IDA-05] the identity and the life that are asked for, if the rules give them, and never a longer life", async () => {
  const second = "spiffe://prod.example/second"
  const isWithin = (life: number, notAfter: number) => notAfter <= Date.now() / 1000 + life
  const issued = await peer.x509({ key: provenKey(twin), spiffeId: second, ttlSeconds: 90_000 }, twin)
  assert.deepEqual([issued.spiffeId, issued.hint], [second, "two"])
  assert.ok(isWithin(600, issued.notAfter))
  assert.ok(isWithin(60, (await peer.x509({ key: provenKey(twin), ttlSeconds: 60 }, twin)).notAfter))
  const denied = await failureOf(peer.x509({ key: provenKey(token), spiffeId: second }, token))
  assert.deepEqual(pick(denied), { status: 7, code: "no-identity", reason: "identity-not-granted" })
  const audience = await failureOf(peer.jwt({ spiffeId: second, audience: ["db", "bank"] }, twin))
  assert.deepEqual(pick(audience), { status: 7, code: "audience-denied", reason: "audience-not-granted" })
  const stranger = await failureOf(peer.jwt({}, server.setup.token({ serviceAccount: "stranger" })))
  assert.deepEqual([stranger.status, stranger.code], [7, "no-identity"])
})

test("[IDA-06] a request that is not well formed, or too long in any part, is refused as malformed", async () => {
  const { value } = provenKey(token)
  const requests = [
    peer.x509({}, token),
    peer.x509({ key: { $case: "csr", value: Buffer.alloc(1025) } }, token),
    peer.x509({ key: { $case: "csr", value: Buffer.alloc(10) } }, token),
    peer.x509(
      { key: { $case: "provenKey", value: { publicKey: Buffer.alloc(2049), proof: Buffer.alloc(64) } } },
      token,
    ),
    peer.x509(
      { key: { $case: "provenKey", value: { publicKey: Buffer.alloc(91), proof: Buffer.alloc(1025) } } },
      token,
    ),
    peer.x509({ key: provenKey(token), spiffeId: "spiffe://prod.example" }, token),
    peer.x509({ key: { $case: "provenKey", value: { ...asProven(value), proof: Buffer.alloc(70) } } }, token),
    peer.jwt({ audience: [] }, token),
    peer.jwt({ audience: ["db", ""] }, token),
    peer.jwt({ audience: Array.from({ length: 17 }, (_, i) => `a${i}`) }, token),
    peer.jwt({ audience: ["é".repeat(513)] }, token),
    peer.batchX509([], token),
    peer.batchJwt(
      Array.from({ length: 65 }, () => ({})),
      token,
    ),
  ]
  const failures = await Promise.all(requests.map(failureOf))
  assert.deepEqual([...new Set(failures.map(({ status, code }) => `${status} ${code}`))], ["3 malformed"])
})

test("[IDA-07] items of a batch succeed and fail on their own, in order, each by its own token or that of the call", async () => {
  const { results, bundle } = await peer.batchX509(
    [
      { key: provenKey(token), withBundle: true },
      { key: provenKey(twin), token: twin, spiffeId: "spiffe://prod.example/second" },
      {},
      { key: provenKey(token), token: "nonsense" },
      { key: provenKey(token), spiffeId: "spiffe://prod.example/second" },
      X509,
    ],
    token,
  )
  assert.deepEqual(results.map(problemOf), [
    WEB,
    "spiffe://prod.example/second",
    "malformed malformed",
    "unauthenticated token-malformed",
    "no-identity identity-not-granted",
    "malformed malformed",
  ])
  assert.equal(bundle?.x509Authorities.length, 1)
  const tokens = await peer.batchJwt([{ token }, { token: twin, audience: [] }, { token: twin }])
  assert.deepEqual(tokens.results.map(problemOf), [WEB, "malformed malformed", "spiffe://prod.example/ns/shop/sa/twin"])
})

test("[IDA-07] a full batch is answered in one call", async () => {
  const { results } = await peer.batchX509(
    Array.from({ length: 64 }, () => ({ key: provenKey(token) })),
    token,
  )
  assert.deepEqual(new Set(results.map(problemOf)), new Set([WEB]))
})

test("[IDA-08] who is over the rate is told when to come back, alone and in a batch", async () => {
  await server.reload({ limits: { identity_rate: "1/s", identity_burst: 1 } })
  // The bucket never holds more than the new burst, and so many at once are more than it gets meanwhile.
  const crowd = Array.from({ length: 20 }, () => peer.jwt({}, token))
  const limited = await failureOf(Promise.all(crowd))
  assert.deepEqual(pick(limited), { status: 8, code: "rate-limited", reason: "rate-limited" })
  assert.equal(limited.retryAfter, 1)
  await Promise.allSettled(crowd)
  const { results } = await peer.batchJwt(
    crowd.map(() => ({})),
    token,
  )
  const last = results.at(-1)
  assert.ok(last?.result?.$case === "problem" && last.result.value.retryAfterSeconds === 1)
})

type Outcome = {
  readonly result?:
    | { readonly $case: "issued"; readonly value: { readonly spiffeId: string } }
    | { readonly $case: "problem"; readonly value: { readonly code: string; readonly reason: string } }
    | undefined
}

/** The identity that was given, or code and reason of the problem. */
function problemOf({ result }: Outcome): string {
  if (result === undefined) return "nothing"
  return result.$case === "issued" ? result.value.spiffeId : `${result.value.code} ${result.value.reason}`
}

function pick({ status, code, reason }: Awaited<ReturnType<typeof failureOf>>) {
  return { status, code, reason }
}

function asProven(value: unknown): { publicKey: Buffer; proof: Buffer } {
  assert.ok(typeof value === "object" && value !== null && "publicKey" in value && "proof" in value)
  const { publicKey, proof } = value
  assert.ok(Buffer.isBuffer(publicKey) && Buffer.isBuffer(proof))
  return { publicKey, proof }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex")
}
