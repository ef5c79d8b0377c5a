import assert from "node:assert/strict"
import { test } from "node:test"
import { IdentityError } from "../../src/core/errors.ts"
import { AgentUnderTest } from "../support/agent-under-test.ts"
import { entitled } from "../support/fake-authority.ts"
import { fakeBundle } from "../support/fake-view.ts"

const CART = entitled("/ns/shop/sa/cart")
const PAY = entitled("/ns/shop/sa/pay")
const DOWN = new IdentityError("not-ready", "the server cannot be reached")
const DENIED = new IdentityError("no-identity", "no rule matches")

async function ready(agent: AgentUnderTest, ...entitlements: readonly ReturnType<typeof entitled>[]): Promise<void> {
  agent.authority.stream.snapshot(1, entitlements)
  await agent.settle()
  assert.equal(agent.kind, "ready")
}

test("[AGT-01] an SVID of a later epoch waits for its snapshot, and the old one is served meanwhile", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const before = agent.serials
  agent.authority.epoch = 2
  await agent.clock.advance(501)
  assert.equal(agent.authority.x509Calls.length, 2)
  assert.deepEqual(agent.serials, before)
  agent.authority.stream.snapshot(2, [CART])
  await agent.settle()
  assert.notDeepEqual(agent.serials, before)
  assert.equal(agent.view.snapshot.epoch, 2)
  assert.equal(agent.authority.x509Calls.length, 2)
})

test("[AGT-02] after a restore, epochs count anew and what waited is ordered again", async () => {
  await using agent = new AgentUnderTest()
  agent.authority.epoch = 9
  agent.authority.stream.snapshot(8, [CART])
  await agent.settle()
  assert.equal(agent.kind, "waiting")
  agent.authority.epoch = 1
  agent.authority.stream.snapshot(1, [CART], "restored")
  await agent.settle()
  assert.equal(agent.view.snapshot.incarnation, "restored")
  assert.equal(agent.authority.x509Calls.length, 2)
})

test("[AGT-02] what was on its way from before a restore is not waited for, and is ordered again", async () => {
  await using agent = new AgentUnderTest()
  const { promise, resolve } = Promise.withResolvers<void>()
  agent.authority.gate = promise
  agent.authority.answerX509 = (order) => {
    agent.authority.epoch = agent.authority.x509Calls.length === 1 ? 9 : 1
    return agent.authority.issued(order)
  }
  agent.authority.stream.snapshot(9, [CART])
  await agent.settle()
  agent.authority.stream.snapshot(1, [CART], "restored")
  await agent.settle()
  resolve()
  await agent.settle()
  assert.equal(agent.view.snapshot.incarnation, "restored")
  assert.equal(agent.authority.x509Calls.length, 2)
})

test("[AGT-03] the same snapshot again is the same view and wakes nobody", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const before = agent.view
  let woken = false
  const stop = new AbortController()
  const waiting = agent.source.changed(stop.signal).then(() => (woken = !stop.signal.aborted))
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  assert.equal(agent.view, before)
  stop.abort()
  await waiting
  assert.equal(woken, false)
})

test("[AGT-04] an identity that is no longer entitled is gone at once", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART, PAY)
  agent.authority.stream.snapshot(1, [PAY])
  await agent.settle()
  assert.deepEqual(
    agent.view.svids.map(({ spiffeId }) => spiffeId),
    [PAY.spiffeId],
  )
  agent.authority.stream.snapshot(1, [])
  await agent.settle()
  assert.equal(agent.kind, "denied")
})

test("[AGT-04] an answer that is on its way is dropped when its entitlement ends first", async () => {
  await using agent = new AgentUnderTest()
  const { promise, resolve } = Promise.withResolvers<void>()
  agent.authority.gate = promise
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  agent.authority.stream.snapshot(1, [])
  await agent.settle()
  resolve()
  await agent.settle()
  assert.equal(agent.kind, "denied")
  agent.keys[0]?.pkcs8.expose((bytes) => assert.ok(bytes.every((byte) => byte === 0)))
})

test("[AGT-04] a subscription that is denied takes the SVIDs away; one that fails does not", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.authority.stream.fail(DOWN)
  await agent.settle()
  assert.equal(agent.kind, "ready")
  await agent.clock.advance(2)
  agent.authority.stream.fail(DENIED)
  await agent.settle()
  assert.equal(agent.kind, "denied")
})

for (const [share, due] of [
  [0, 400],
  [0.999, 599],
] as const) {
  test(`[AGT-05] renews at ${due} s of 1000 when the draw is ${share}`, async () => {
    await using agent = new AgentUnderTest(share)
    await ready(agent, CART)
    await agent.clock.advance(due - 2)
    assert.equal(agent.authority.x509Calls.length, 1)
    await agent.clock.advance(3)
    assert.equal(agent.authority.x509Calls.length, 2)
  })
}

test("[AGT-06] what is due close together is renewed in one call", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  await agent.clock.advance(30)
  agent.authority.stream.snapshot(1, [CART, PAY])
  await agent.settle()
  assert.equal(agent.authority.x509Calls.length, 2)
  await agent.clock.advance(475)
  assert.deepEqual(
    agent.authority.x509Calls[2]?.map(({ spiffeId }) => spiffeId),
    [CART.spiffeId, PAY.spiffeId],
  )
})

test("[AGT-06] what is due much later is not drawn into a renewal", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  await agent.clock.advance(300)
  agent.authority.stream.snapshot(1, [CART, PAY])
  await agent.clock.advance(205)
  assert.deepEqual(
    agent.authority.x509Calls[2]?.map(({ spiffeId }) => spiffeId),
    [CART.spiffeId],
  )
})

test("[AGT-07] every order has a key of its own", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  await agent.clock.advance(501)
  const keys = agent.authority.x509Calls.flat().map(({ key }) => Buffer.from(key.publicKey).toString("hex"))
  assert.equal(keys.length, 2)
  assert.equal(new Set(keys).size, 2)
})

test("[AGT-07] the key of an SVID that waited for its snapshot in vain is wiped", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.authority.epoch = 2
  await agent.clock.advance(501)
  const [served, waiting] = agent.keys
  agent.authority.stream.push({ kind: "evict", reason: "node was lost" })
  await agent.settle()
  waiting?.pkcs8.expose((bytes) => assert.ok(bytes.every((byte) => byte === 0)))
  served?.pkcs8.expose((bytes) =>
    assert.ok(
      bytes.some((byte) => byte !== 0),
      "a reader may still hold it",
    ),
  )
  assert.equal(agent.keys.length, 2)
})

test("[AGT-08][AGT-09] through an outage it tries on, ever slower, and serves until expiry; then it says why", async () => {
  await using agent = new AgentUnderTest(0.99)
  await ready(agent, CART)
  agent.authority.down = DOWN
  await agent.clock.advance(998)
  assert.equal(agent.kind, "ready")
  const tries = agent.authority.x509Calls.length
  assert.ok(tries > 12, `${tries} tries in 400 s`)
  assert.ok(tries < 40, `${tries} tries in 400 s`)
  await agent.clock.advance(3)
  assert.equal(agent.kind, "waiting")
  assert.match(agent.error.message, /expired at 20.*cannot be reached/)
})

test("[AGT-08] tries come at least every quarter of what remains of the SVID's life", async () => {
  await using agent = new AgentUnderTest(0.99)
  agent.authority.ttl = 40
  await ready(agent, CART)
  agent.authority.down = new IdentityError("not-ready", "later", { retryAfter: 3600 })
  await agent.clock.advance(24)
  const first = agent.authority.x509Calls.length
  await agent.clock.advance(15)
  assert.ok(agent.authority.x509Calls.length - first >= 4)
})

test("[AGT-08] a server that asks for a pause is given it", async () => {
  await using agent = new AgentUnderTest(0)
  agent.authority.down = new IdentityError("rate-limited", "slow down", { retryAfter: 20 })
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  assert.equal(agent.authority.x509Calls.length, 1)
  await agent.clock.advance(19)
  assert.equal(agent.authority.x509Calls.length, 1)
  await agent.clock.advance(3)
  assert.equal(agent.authority.x509Calls.length, 2)
})

test("[AGT-08] a pause that the server asks for is kept through jumps of the clock and new snapshots, five minutes at most", async () => {
  await using agent = new AgentUnderTest(0)
  agent.authority.down = new IdentityError("rate-limited", "slow down", { retryAfter: 3600 })
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  agent.clock.jumpWall(600)
  agent.authority.stream.snapshot(2, [CART])
  await agent.clock.advance(299)
  assert.equal(agent.authority.x509Calls.length, 1)
  await agent.clock.advance(6)
  assert.equal(agent.authority.x509Calls.length, 2)
})

test("[AGT-09] recovers by itself from an expired SVID", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.authority.down = DOWN
  await agent.clock.advance(1200)
  assert.equal(agent.kind, "waiting")
  agent.authority.down = undefined
  await agent.clock.advance(60)
  assert.equal(agent.kind, "ready")
})

test("[AGT-09] an SVID expires on time even while a call hangs", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.authority.gate = new Promise(() => undefined)
  await agent.clock.advance(1001)
  assert.equal(agent.kind, "waiting")
})

test("[AGT-10] a suspended machine renews within seconds of waking up", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.clock.jumpWall(700)
  await agent.clock.advance(6)
  assert.equal(agent.authority.x509Calls.length, 2)
  assert.equal(agent.kind, "ready")
})

test("[AGT-10] a machine that slept past expiry serves nothing expired and has a new SVID within seconds", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.authority.down = DOWN
  agent.clock.jumpWall(5000)
  await agent.clock.advance(6)
  assert.equal(agent.kind, "waiting")
  agent.authority.down = undefined
  await agent.clock.advance(10)
  assert.equal(agent.kind, "ready")
})

test("[AGT-10] a wall clock set back does not make a renewal late", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.clock.jumpWall(-3600)
  await agent.clock.advance(506)
  assert.equal(agent.authority.x509Calls.length, 2)
})

test("[AGT-10] a jump of the clock ends back-offs", async () => {
  await using agent = new AgentUnderTest(0.99)
  agent.authority.answerX509 = () => ({ kind: "failed", error: DENIED })
  agent.authority.stream.snapshot(1, [CART])
  await agent.clock.advance(60)
  const tries = agent.authority.x509Calls.length
  agent.clock.jumpWall(600)
  await agent.clock.advance(6)
  assert.equal(agent.authority.x509Calls.length, tries + 1)
})

test("[AGT-11] denied, retried with long pauses and at each new snapshot, then granted", async () => {
  await using agent = new AgentUnderTest()
  const { authority } = agent
  authority.answerX509 = () => ({ kind: "failed", error: DENIED })
  authority.stream.snapshot(1, [CART])
  await agent.settle()
  assert.equal(agent.kind, "denied")
  assert.equal(agent.error.code, "no-identity")
  await agent.clock.advance(4)
  assert.equal(authority.x509Calls.length, 1)
  authority.answerX509 = (order) => authority.issued(order)
  authority.stream.snapshot(2, [CART])
  await agent.settle()
  assert.equal(agent.kind, "ready")
})

test("[AGT-11] a snapshot without identities is a denial, one with an identity ends it", async () => {
  await using agent = new AgentUnderTest()
  agent.authority.stream.snapshot(1, [])
  await agent.settle()
  assert.equal(agent.kind, "denied")
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  assert.equal(agent.kind, "ready")
})

test("[AGT-12] what does not verify is never served, and is ordered anew", async () => {
  await using agent = new AgentUnderTest()
  agent.unverifiable.add(CART.spiffeId)
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  assert.equal(agent.kind, "waiting")
  assert.match(agent.error.message, /does not verify/)
  agent.unverifiable.clear()
  await agent.clock.advance(2)
  assert.equal(agent.kind, "ready")
})

test("[AGT-12] an SVID that a new bundle does not verify is renewed at once and served until then", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const before = agent.serials
  const { promise, resolve } = Promise.withResolvers<void>()
  agent.authority.gate = promise
  agent.unverifiable.add(CART.spiffeId)
  agent.authority.stream.rootChanged(2, [CART])
  await agent.settle()
  assert.equal(agent.authority.x509Calls.length, 2)
  assert.deepEqual(agent.serials, before)
  agent.unverifiable.clear()
  resolve()
  await agent.settle()
  assert.notDeepEqual(agent.serials, before)
})

test("[AGT-13] a renew directive spreads renewals over its time", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.authority.stream.push({ kind: "renew", within: 60 })
  await agent.clock.advance(28)
  assert.equal(agent.authority.x509Calls.length, 1)
  await agent.clock.advance(3)
  assert.equal(agent.authority.x509Calls.length, 2)
})

test("[AGT-13] a renew directive also means an SVID that is on its way", async () => {
  await using agent = new AgentUnderTest()
  const { promise, resolve } = Promise.withResolvers<void>()
  agent.authority.gate = promise
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  agent.authority.stream.push({ kind: "renew", within: 0 })
  await agent.settle()
  resolve()
  await agent.settle()
  await agent.clock.advance(1)
  assert.equal(agent.authority.x509Calls.length, 2)
})

test("[AGT-14] an eviction ends everything that is served, and the agent attests again", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  await agent.source.fetchJwt(["db"], undefined, new AbortController().signal)
  agent.authority.stream.push({ kind: "evict", reason: "node was lost" })
  await agent.settle()
  assert.equal(agent.kind, "denied")
  assert.match(agent.error.message, /node was lost/)
  await assert.rejects(agent.source.fetchJwt(["db"], undefined, new AbortController().signal), { code: "no-identity" })
  await agent.clock.advance(1)
  assert.equal(agent.authority.streams.length, 2)
  await ready(agent, CART)
})

test("[AGT-15] acknowledges what it adopts, refuses the rest with a reason and keeps what it has", async () => {
  await using agent = new AgentUnderTest()
  const { stream } = agent.authority
  stream.snapshot(5, [CART])
  stream.snapshot(4, [PAY])
  const foreign = { epoch: 6, incarnation: "first", own: fakeBundle("evil.example"), federated: [] }
  stream.push({ kind: "snapshot", snapshot: foreign, entitlements: [PAY] })
  const empty = { ...foreign, own: fakeBundle("prod.example", { x509Authorities: [] }) }
  stream.push({ kind: "snapshot", snapshot: empty, entitlements: [PAY] })
  await agent.settle()
  assert.deepEqual(
    stream.acknowledged.map(({ epoch, nackReason }) => [epoch, nackReason === undefined]),
    [
      [5, true],
      [4, false],
      [6, false],
      [6, false],
    ],
  )
  assert.equal(agent.view.snapshot.epoch, 5)
  assert.deepEqual(
    agent.view.svids.map(({ spiffeId }) => spiffeId),
    [CART.spiffeId],
  )
})

test("[AGT-17] a closed stream is opened again at once, a failed one after a pause", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.authority.stream.end()
  await agent.settle()
  await agent.clock.advance(0.3)
  assert.equal(agent.authority.streams.length, 2)
  agent.authority.down = DOWN
  agent.authority.stream.fail(DOWN)
  await agent.settle()
  await agent.clock.advance(0.4)
  assert.equal(agent.authority.streams.length, 2)
  await agent.clock.advance(300)
  const streams = agent.authority.streams.length
  assert.ok(streams > 10 && streams < 60, `${streams} streams`)
})
