import assert from "node:assert/strict"
import { test } from "node:test"
import { keyNameOf } from "../../src/core/ban/key-name.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { AgentUnderTest } from "../support/agent-under-test.ts"
import { entitled } from "../support/fake-authority.ts"

const CART = entitled("/ns/shop/sa/cart")
const PAY = entitled("/ns/shop/sa/pay")
const BANNED = new IdentityError("policy-denied", "this identity is banned", { reason: "banned" })

async function ready(agent: AgentUnderTest, ...entitlements: (typeof CART)[]): Promise<void> {
  agent.authority.stream.snapshot(1, entitlements)
  await agent.settle()
  assert.equal(agent.kind, "ready")
}

/** The order of the newest call for this identity. */
function lastOrder({ authority }: AgentUnderTest, { spiffeId }: typeof CART = CART) {
  return authority.x509Calls.flat().findLast((order) => order.spiffeId === spiffeId) ?? assert.fail("no order")
}

function evictKey(agent: AgentUnderTest, key: string): Promise<void> {
  agent.authority.stream.push({ kind: "evict-key", key })
  return agent.settle()
}

test("[AGT-47] goes on with another key at once when one is evicted; readers see one change, and other identities none", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART, PAY)
  const [cart, pay] = agent.serials
  const { key } = lastOrder(agent)
  const changed = agent.source.changed(new AbortController().signal)
  await evictKey(agent, keyNameOf(key.publicKey))
  await changed
  assert.notEqual(agent.serials[0], cart)
  assert.equal(agent.serials[1], pay)
  const { key: next, renews } = lastOrder(agent)
  assert.notDeepEqual(next.publicKey, key.publicKey)
  assert.equal(renews?.endsWith("1"), true, "it goes on from the certificate that it had")
  assert.equal(agent.authority.streams.length, 1, "on the same stream")
  const orders = agent.authority.x509Calls.length
  await evictKey(agent, keyNameOf(key.publicKey))
  assert.equal(agent.authority.x509Calls.length, orders, "told again, it has nothing to do")
})

test("[AGT-47] pays no attention to the keys of others", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const { serials } = agent
  await evictKey(agent, "0".repeat(64))
  assert.deepEqual([agent.serials, agent.authority.x509Calls.length], [serials, 1])
})

test("[AGT-47] serves an evicted key no more once the first try to replace it has failed, and recovers by itself", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART, PAY)
  agent.authority.down = new IdentityError("not-ready", "the server cannot be reached")
  await evictKey(agent, keyNameOf(lastOrder(agent).key.publicKey))
  assert.deepEqual(
    agent.view.svids.map(({ spiffeId }) => spiffeId),
    [PAY.spiffeId],
  )
  agent.authority.down = undefined
  await agent.clock.advance(30)
  assert.equal(agent.view.svids.length, 2)
})

test("[AGT-47] serves an evicted key for 30 s at most when its successor waits for a snapshot that does not come", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART, PAY)
  agent.authority.epoch = 2
  await evictKey(agent, keyNameOf(lastOrder(agent).key.publicKey))
  await agent.clock.advance(29)
  assert.equal(agent.view.svids.length, 2)
  await agent.clock.advance(6)
  assert.deepEqual(
    agent.view.svids.map(({ spiffeId }) => spiffeId),
    [PAY.spiffeId],
  )
  agent.authority.stream.snapshot(2, [CART, PAY])
  await agent.settle()
  assert.equal(agent.view.svids.length, 2)
})

test("[AGT-47] orders at once anew when the key of one that waited for its snapshot is evicted", async () => {
  await using agent = new AgentUnderTest()
  agent.authority.epoch = 2
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  agent.authority.epoch = 1
  await evictKey(agent, keyNameOf(lastOrder(agent).key.publicKey))
  assert.match(agent.serials[0] ?? "", / 2$/)
})

test("[AGT-47] does not serve a certificate that was on its way for an evicted key", async () => {
  await using agent = new AgentUnderTest()
  const { promise, resolve } = Promise.withResolvers<void>()
  agent.authority.gate = promise
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  const { key } = lastOrder(agent)
  await evictKey(agent, keyNameOf(key.publicKey))
  resolve()
  await agent.settle()
  assert.equal(agent.authority.x509Calls.length, 2)
  assert.notDeepEqual(lastOrder(agent).key.publicKey, key.publicKey)
  assert.match(agent.serials[0] ?? "", / 2$/)
})

test("[AGT-47] does not serve one that waited for its snapshot, nor ask again with a key whose order went unanswered", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.authority.epoch = 2
  await agent.clock.advance(501)
  const staged = lastOrder(agent)
  agent.authority.epoch = 1
  await evictKey(agent, keyNameOf(staged.key.publicKey))
  assert.notDeepEqual(lastOrder(agent).key.publicKey, staged.key.publicKey)
  assert.match(agent.serials[0] ?? "", / 3$/)

  agent.authority.answerX509 = () => ({ kind: "failed", error: new IdentityError("not-ready", "lost on the way") })
  await agent.clock.advance(501)
  const lost = lastOrder(agent)
  agent.authority.answerX509 = ({ key, ...order }) =>
    key.publicKey === lost.key.publicKey ? { kind: "failed", error: BANNED } : agent.authority.issued({ key, ...order })
  await evictKey(agent, keyNameOf(lost.key.publicKey))
  await agent.clock.advance(30)
  assert.notDeepEqual(lastOrder(agent).key.publicKey, lost.key.publicKey)
  assert.equal(lastOrder(agent).renews, undefined, "it may have been issued, so nothing is quoted")
})
