import assert from "node:assert/strict"
import { test } from "node:test"
import { IdentityError } from "../../../../src/core/errors.ts"
import { AgentUnderTest } from "../../../support/agent-under-test.ts"
import { entitled } from "../../../support/fake-authority.ts"

const CART = entitled("/ns/shop/sa/cart")
const PAY = entitled("/ns/shop/sa/pay", { hint: "payments" })

test("waits, saying why, until the server has answered", async () => {
  await using agent = new AgentUnderTest()
  await agent.settle()
  assert.equal(agent.kind, "waiting")
  assert.equal(agent.error.code, "not-ready")
})

test("serves an SVID for every entitlement, in the server's order, from one call", async () => {
  await using agent = new AgentUnderTest()
  agent.authority.stream.snapshot(1, [PAY, CART])
  await agent.settle()
  assert.deepEqual(
    agent.view.svids.map(({ spiffeId, hint }) => [spiffeId, hint]),
    [
      [PAY.spiffeId, "payments"],
      [CART.spiffeId, ""],
    ],
  )
  assert.equal(agent.authority.x509Calls.length, 1)
  assert.deepEqual(agent.authority.stream.acknowledged, [{ epoch: 1, nackReason: undefined }])
})

test("tells readers of a change, and a reader that gives up is let go", async () => {
  await using agent = new AgentUnderTest()
  const changed = agent.source.changed(new AbortController().signal)
  const gone = new AbortController()
  const given = agent.source.changed(gone.signal)
  gone.abort()
  await given
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  await changed
  assert.equal(agent.kind, "ready")
})

test("a change of hint or federation makes a new view without a new SVID", async () => {
  await using agent = new AgentUnderTest()
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  const before = agent.serials
  agent.authority.stream.snapshot(1, [{ ...CART, hint: "web" }])
  await agent.settle()
  assert.deepEqual(agent.serials, before)
  assert.equal(agent.view.svids[0]?.hint, "web")
})

test("more entitlements than one call takes are ordered in calls of 64", async () => {
  await using agent = new AgentUnderTest()
  const many = Array.from({ length: 100 }, (_, i) => entitled(`/ns/shop/sa/s${i}`))
  agent.authority.stream.snapshot(1, many)
  await agent.settle()
  assert.deepEqual(
    agent.authority.x509Calls.map((orders) => orders.length),
    [64, 36],
  )
  assert.equal(agent.view.svids.length, 100)
})

test("one failed identity does not hold back the others", async () => {
  await using agent = new AgentUnderTest()
  const { authority } = agent
  authority.answerX509 = (order) =>
    order.spiffeId === PAY.spiffeId
      ? { kind: "failed", error: new IdentityError("no-identity", "not you") }
      : authority.issued(order)
  authority.stream.snapshot(1, [PAY, CART])
  await agent.settle()
  assert.deepEqual(
    agent.view.svids.map(({ spiffeId }) => spiffeId),
    [CART.spiffeId],
  )
})

test("an SVID that had expired on arrival is not served, and the error speaks of clocks", async () => {
  await using agent = new AgentUnderTest()
  agent.authority.ttl = 0
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  assert.equal(agent.kind, "waiting")
  assert.match(agent.error.message, /clocks/)
})

test("an SVID for another identity than the one ordered is refused", async () => {
  await using agent = new AgentUnderTest()
  const { authority } = agent
  authority.answerX509 = (order) => authority.issued({ ...order, spiffeId: PAY.spiffeId })
  authority.stream.snapshot(1, [CART])
  await agent.settle()
  assert.equal(agent.kind, "waiting")
})

test("the key of a failed order is kept for the next try, and wiped when there will be none", async () => {
  const agent = new AgentUnderTest()
  agent.authority.stream.snapshot(1, [CART])
  agent.authority.answerX509 = () => ({ kind: "failed", error: new IdentityError("not-ready", "later") })
  await agent.settle()
  await agent.clock.advance(60)
  assert.ok(agent.authority.x509Calls.length > 1)
  assert.equal(agent.keys.length, 1)
  await agent[Symbol.asyncDispose]()
  agent.keys[0]?.pkcs8.expose((bytes) => assert.ok(bytes.every((byte) => byte === 0)))
})

test("disposing ends stream and loops", async () => {
  const agent = new AgentUnderTest()
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  await agent[Symbol.asyncDispose]()
  assert.equal(agent.authority.stream.isOpen, false)
  assert.equal(agent.clock.sleeping, 0)
  await agent.source.finished
})

test("an update that no adapter should hand over drops the stream, not the agent", async () => {
  await using agent = new AgentUnderTest()
  agent.authority.stream.push({ kind: "snapshot" } as never) // what no adapter may hand over
  await agent.settle()
  assert.equal(agent.kind, "waiting")
  assert.ok(agent.warnings.includes("subscription lost"))
})
