import assert from "node:assert/strict"
import { test } from "node:test"
import { STARTING } from "../../src/app/deliver/identity-source.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { JWTSVIDResponse } from "../../src/gen/spiffe/workload.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeBundle, fakeSvid, fakeView } from "../support/fake-view.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { until } from "../support/until.ts"
import { openWorkloadPeer, StreamReader, secured, unary } from "../support/workload-peer.ts"

const CART = "spiffe://prod.example/ns/shop/sa/cart"
const PAY = "spiffe://prod.example/ns/shop/sa/pay"

function twoIdentities() {
  const partner = parseTrustDomain("partner.example")
  return fakeView({
    svids: [fakeSvid(CART, { hint: "internal", federatesWith: [partner] }), fakeSvid(PAY, { hint: "external" })],
    federated: [
      fakeBundle("stranger.example"),
      fakeBundle("partner.example", { jwtAuthorities: [makeJwtKey().authority] }),
    ],
  })
}

test("[WA-01][WA-06] both profiles answer at once", async () => {
  const source = new FakeSource()
  source.ready(twoIdentities())
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  using x509Bundles = new StreamReader(peer.client.fetchX509Bundles({}, secured()))
  using jwtBundles = new StreamReader(peer.client.fetchJwtBundles({}, secured()))
  assert.equal((await svids.next()).svids.length, 2)
  assert.ok(Object.keys((await x509Bundles.next()).bundles).length > 0)
  assert.ok(Object.keys((await jwtBundles.next()).bundles).length > 0)
  const jwts = await unary<JWTSVIDResponse>((done) =>
    peer.client.fetchJwtsvid({ audience: ["db"], spiffeId: "" }, secured(), done),
  )
  assert.equal(jwts.svids.length, 2)
  assert.equal(source.waiting, 3, "each stream waits for what comes next, and nothing else waits")
})

test("[WA-17] a call of a workload that starts with its agent is answered once the agent knows", async () => {
  const starting = new IdentityError("not-ready", "no identity yet", { reason: STARTING })
  const source = new FakeSource({ kind: "waiting", error: starting })
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  const jwts = unary<JWTSVIDResponse>((done) =>
    peer.client.fetchJwtsvid({ audience: ["db"], spiffeId: "" }, secured(), done),
  )
  await until("both calls wait", () => source.waiting >= 2)
  source.ready(twoIdentities())
  assert.equal((await svids.next()).svids.length, 2)
  assert.equal((await jwts).svids.length, 2)
})

test("[WA-17] a call that waits is refused at once when the agent cannot get what it asked for", async () => {
  const source = new FakeSource({
    kind: "waiting",
    error: new IdentityError("not-ready", "no identity yet", { reason: STARTING }),
  })
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  const refused = assert.rejects(svids.next(), { code: 14, details: /server is away/ })
  await until("the call waits", () => source.waiting >= 1)
  source.wait(new IdentityError("not-ready", "the server is away"))
  await refused
})

test("[WA-02] the WIT profile answers Unimplemented", async () => {
  const source = new FakeSource()
  source.ready(fakeView())
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchWitsvid({ spiffeId: "" }, secured()))
  using bundles = new StreamReader(peer.client.fetchWitBundles({}, secured()))
  await assert.rejects(svids.next(), { code: 12 })
  await assert.rejects(bundles.next(), { code: 12 })
})

test("[WA-03][WA-12] bundle maps are keyed by trust domain ID, own included, strangers left out", async () => {
  const source = new FakeSource()
  source.ready(twoIdentities())
  await using peer = await openWorkloadPeer(source)
  using x509 = new StreamReader(peer.client.fetchX509Bundles({}, secured()))
  using jwt = new StreamReader(peer.client.fetchJwtBundles({}, secured()))
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  const expected = ["spiffe://partner.example", "spiffe://prod.example"]
  const { bundles } = await x509.next()
  assert.deepEqual(Object.keys(bundles).sort(), expected)
  assert.deepEqual(bundles["spiffe://partner.example"]?.toString(), "root of partner.example")
  assert.deepEqual(Object.keys((await jwt.next()).bundles).sort(), expected)
  assert.deepEqual(Object.keys((await svids.next()).federatedBundles), ["spiffe://partner.example"])
})

test("[WA-18] a trust domain without authorities of a kind is left out of the bundles of that kind, and the own one never is", async () => {
  const { authority } = makeJwtKey()
  const federatesWith = ["x509.example", "jwt.example", "none.example"].map(parseTrustDomain)
  const source = new FakeSource()
  const federated = [
    fakeBundle("x509.example"),
    fakeBundle("jwt.example", { x509Authorities: [], jwtAuthorities: [authority] }),
    fakeBundle("none.example", { x509Authorities: [] }),
  ]
  source.ready(fakeView({ svids: [fakeSvid(CART, { federatesWith })], federated }))
  await using peer = await openWorkloadPeer(source)
  using x509 = new StreamReader(peer.client.fetchX509Bundles({}, secured()))
  using jwt = new StreamReader(peer.client.fetchJwtBundles({}, secured()))
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  assert.deepEqual(Object.keys((await x509.next()).bundles).sort(), ["spiffe://prod.example", "spiffe://x509.example"])
  assert.deepEqual(Object.keys((await jwt.next()).bundles).sort(), ["spiffe://jwt.example", "spiffe://prod.example"])
  assert.deepEqual(Object.keys((await svids.next()).federatedBundles), ["spiffe://x509.example"])
})

test("[WA-04][WA-05] every message is the full set, the default first and the order kept", async () => {
  const source = new FakeSource()
  source.ready(twoIdentities())
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  for (let rotation = 0; rotation < 3; rotation++) {
    const { svids: list } = await svids.next()
    assert.deepEqual(
      list.map(({ spiffeId }) => spiffeId),
      [CART, PAY],
    )
    source.ready(twoIdentities())
  }
})

test("[WA-05] an SVID carries its chain as one run of DER, its key, and the own bundle", async () => {
  const source = new FakeSource()
  const svid = fakeSvid(CART, { hint: "internal" })
  source.ready(fakeView({ svids: [svid] }))
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  const [first] = (await svids.next()).svids
  assert.deepEqual(first?.x509Svid, Buffer.concat(svid.chain))
  svid.key.expose((bytes) => assert.deepEqual(first?.x509SvidKey, Buffer.from(bytes)))
  assert.equal(first?.bundle.toString(), "root of prod.example")
  assert.equal(first?.hint, "internal")
})

test("[WA-07] a change that does not alter the response sends nothing", async () => {
  const source = new FakeSource()
  const svid = fakeSvid(CART)
  source.ready(fakeView({ svids: [svid], epoch: 1 }))
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  await svids.next()
  for (let epoch = 2; epoch < 6; epoch++) {
    await until("the stream has drained what there is", () => source.waiting === 1)
    source.ready(fakeView({ svids: [svid], epoch, federated: [fakeBundle("stranger.example", { sequence: epoch })] }))
  }
  await until("the stream has drained what there is", () => source.waiting === 1)
  source.ready(fakeView({ svids: [svid, fakeSvid(PAY)], epoch: 9 }))
  assert.equal((await svids.next()).svids.length, 2)
})

test("[WA-08] an identity that was taken away is absent from the next message", async () => {
  const source = new FakeSource()
  source.ready(twoIdentities())
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  assert.equal((await svids.next()).svids.length, 2)
  source.ready(fakeView({ svids: [fakeSvid(PAY)] }))
  assert.deepEqual(
    (await svids.next()).svids.map(({ spiffeId }) => spiffeId),
    [PAY],
  )
})

const MALFORMED_JWT_REQUESTS = [
  ["no audience", { audience: [], spiffeId: "" }],
  ["an empty audience", { audience: ["db", ""], spiffeId: "" }],
  ["too many audiences", { audience: Array.from({ length: 17 }, (_, n) => `a${n}`), spiffeId: "" }],
  ["an audience that is too long", { audience: ["a".repeat(1025)], spiffeId: "" }],
  ["a malformed SPIFFE ID", { audience: ["db"], spiffeId: "spiffe://prod.example/a//b" }],
] as const

for (const [what, request] of MALFORMED_JWT_REQUESTS) {
  test(`[WA-09] FetchJWTSVID with ${what} is InvalidArgument`, async () => {
    const source = new FakeSource()
    source.ready(fakeView())
    await using peer = await openWorkloadPeer(source)
    const call = unary((done) =>
      peer.client.fetchJwtsvid({ audience: [...request.audience], spiffeId: request.spiffeId }, secured(), done),
    )
    await assert.rejects(call, { code: 3 })
  })
}

for (const request of [
  { audience: "", svid: "a.b.c" },
  { audience: "db", svid: "" },
]) {
  test(`[WA-09] ValidateJWTSVID refuses ${JSON.stringify(request)} as InvalidArgument`, async () => {
    const source = new FakeSource()
    source.ready(fakeView())
    await using peer = await openWorkloadPeer(source)
    await assert.rejects(
      unary((done) => peer.client.validateJwtsvid(request, secured(), done)),
      { code: 3 },
    )
  })
}

test("[WA-09] FetchJWTSVID passes audience and SPIFFE ID on as they are, and refuses an ID the caller does not hold", async () => {
  const source = new FakeSource()
  source.ready(twoIdentities())
  await using peer = await openWorkloadPeer(source)
  const held = await unary<JWTSVIDResponse>((done) =>
    peer.client.fetchJwtsvid({ audience: ["db"], spiffeId: PAY }, secured(), done),
  )
  assert.deepEqual(
    held.svids.map(({ spiffeId, hint }) => [spiffeId, hint]),
    [[PAY, "external"]],
  )
  const other = { audience: ["db"], spiffeId: "spiffe://prod.example/ns/shop/sa/root" }
  await assert.rejects(
    unary((done) => peer.client.fetchJwtsvid(other, secured(), done)),
    { code: 7 },
  )
})

test("[WA-10] hints are unique in a response: the first holder keeps its hint", async () => {
  const source = new FakeSource()
  const long = "h".repeat(1025)
  const hints = ["internal", "internal", "", "", long, "external"]
  source.ready(fakeView({ svids: hints.map((hint, n) => fakeSvid(`${CART}/${n}`, { hint })) }))
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  assert.deepEqual(
    (await svids.next()).svids.map(({ hint }) => hint),
    ["internal", "", "", "", "", "external"],
  )
})

test("[WA-11] a caller without identity is refused on every call, also when it loses its last one", async () => {
  const source = new FakeSource()
  source.ready(fakeView())
  await using peer = await openWorkloadPeer(source)
  using running = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  await running.next()
  source.deny(new IdentityError("policy-denied", "no rule gives this caller an identity", { reason: "no-rule" }))
  await assert.rejects(running.next(), { code: 7, details: "no rule gives this caller an identity" })
  using late = new StreamReader(peer.client.fetchX509Bundles({}, secured()))
  await assert.rejects(late.next(), { code: 7 })
  await assert.rejects(
    unary((done) => peer.client.fetchJwtsvid({ audience: ["db"], spiffeId: "" }, secured(), done)),
    { code: 7 },
  )
})

test("[WA-16] no CRL is sent", async () => {
  const source = new FakeSource()
  source.ready(fakeView())
  await using peer = await openWorkloadPeer(source)
  using svids = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  assert.deepEqual((await svids.next()).crl, [])
})
