import assert from "node:assert/strict"
import { test } from "node:test"
import { IdentityError } from "../../src/core/errors.ts"
import { AgentUnderTest } from "../support/agent-under-test.ts"
import { entitled } from "../support/fake-authority.ts"

const CART = entitled("/ns/shop/sa/cart")
const PAY = entitled("/ns/shop/sa/pay")
const DOWN = new IdentityError("not-ready", "the server cannot be reached")
const DENIED = new IdentityError("no-identity", "no rule matches")
const never = new AbortController().signal

async function ready(agent: AgentUnderTest, ...entitlements: readonly ReturnType<typeof entitled>[]): Promise<void> {
  agent.authority.stream.snapshot(1, entitlements)
  await agent.settle()
  assert.equal(agent.kind, "ready")
}

/** The token for the first identity. */
async function fetch(agent: AgentUnderTest, ...audience: readonly string[]): Promise<string> {
  const [issued] = await agent.source.fetchJwt(audience, undefined, never)
  assert.ok(issued !== undefined)
  return issued.token
}

test("[AGT-16] reports at most once a second, and only what changed", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const { stream } = agent.authority
  const report = (epoch: number) => ({ name: "envoy", kind: "sds", epoch, nackReason: undefined }) as const
  for (const epoch of [0, 1]) agent.source.observed("envoy", report(epoch))
  await agent.clock.advance(1)
  agent.source.observed("envoy", report(1))
  await agent.clock.advance(5)
  assert.deepEqual(stream.reports, [[report(1)]])
  agent.source.observed("envoy", undefined)
  await agent.clock.advance(1)
  assert.deepEqual(stream.reports.slice(1), [[]])
})

test("[AGT-16] of more than 1000 consumers, tells those that refuse, then those that are furthest behind, and how many more there are", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  for (let epoch = 1100; epoch > 0; epoch--) {
    const nackReason = epoch === 299 ? "bad chain" : undefined
    agent.source.observed(`envoy-${epoch}`, { name: `envoy-${epoch}`, kind: "sds", epoch, nackReason })
  }
  const mute = { name: "workload-api/1", kind: "workload-api", epoch: 0, nackReason: undefined } as const
  agent.source.observed(mute.name, mute)
  await agent.clock.advance(1)
  const epochs = agent.authority.stream.reports.at(-1)?.map(({ epoch }) => epoch)
  const furthest = Array.from({ length: 999 }, (_, i) => (i < 298 ? i + 1 : i + 2))
  assert.deepEqual(epochs, [299, ...(epochs ?? []).slice(1)])
  assert.deepEqual(
    epochs?.slice(1).sort((a, b) => a - b),
    furthest.slice(0, 999),
  )
  assert.equal(agent.authority.stream.unlisted, 101)
})

test("[AGT-16] a report is no longer than every server takes, and the rest is counted", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  for (let i = 0; i < 500; i++) {
    const name = `envoy-${i}-`.padEnd(253, "x")
    agent.source.observed(name, { name, kind: "sds", epoch: 1, nackReason: undefined })
  }
  await agent.clock.advance(1)
  const listed = agent.authority.stream.reports.at(-1)?.length ?? 0
  assert.ok(listed > 200 && listed * 253 < 60_000, `${listed}`)
  assert.equal(listed + agent.authority.stream.unlisted, 500)
})

test("[AGT-16] a new stream is told everything again", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const report = { name: "envoy", kind: "sds", epoch: 1, nackReason: undefined } as const
  agent.source.observed("envoy", report)
  await agent.clock.advance(1)
  agent.authority.stream.end()
  await agent.clock.advance(2)
  assert.equal(agent.authority.streams.length, 2)
  assert.deepEqual(agent.authority.stream.reports, [[report]])
})

test("[AGT-20] order and repetition of audiences make no difference, identities do", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART, PAY)
  const both = await agent.source.fetchJwt(["db", "api", "db"], undefined, never)
  assert.deepEqual(
    both.map(({ spiffeId }) => spiffeId),
    [CART.spiffeId, PAY.spiffeId],
  )
  const again = await agent.source.fetchJwt(["api", "db"], PAY.spiffeId, never)
  assert.deepEqual(again, both.slice(1))
  assert.deepEqual(
    agent.authority.jwtCalls.map((orders) => orders.map(({ audience }) => audience)),
    [
      [
        ["api", "db"],
        ["api", "db"],
      ],
    ],
  )
})

test("[AGT-20] keeps 1024 tokens; the one not used for the longest time goes first", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  for (let i = 0; i < 1024; i++) await fetch(agent, `aud-${i}`)
  await fetch(agent, "aud-0")
  assert.equal(agent.authority.jwtCalls.length, 1024)
  await fetch(agent, "one more")
  await fetch(agent, "aud-0")
  assert.equal(agent.authority.jwtCalls.length, 1025)
  await fetch(agent, "aud-1")
  assert.equal(agent.authority.jwtCalls.length, 1026)
})

test("[AGT-21] what is used is fetched anew before half its life is gone, what is not is left alone", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const first = await fetch(agent, "db")
  await agent.clock.advance(119)
  assert.equal(agent.authority.jwtCalls.length, 1)
  await agent.clock.advance(20)
  assert.equal(agent.authority.jwtCalls.length, 2)
  // Nobody asked for the second one.
  await agent.clock.advance(149)
  assert.equal(agent.authority.jwtCalls.length, 2)
  assert.notEqual(await fetch(agent, "db"), first)
  assert.equal(agent.authority.jwtCalls.length, 3)
})

test("[AGT-21] a token that is past half its life is not served while the server answers", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  agent.authority.jwtTtl = 20
  const first = await fetch(agent, "db")
  agent.clock.jumpWall(11)
  assert.notEqual(await fetch(agent, "db"), first)
})

test("[AGT-22] however many ask, there is one call, and one that gives up does not end it", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const { promise, resolve } = Promise.withResolvers<void>()
  agent.authority.gate = promise
  const impatient = new AbortController()
  const gaveUp = assert.rejects(agent.source.fetchJwt(["db"], undefined, impatient.signal), { code: "cancelled" })
  const others = Array.from({ length: 5 }, () => fetch(agent, "db"))
  await agent.settle()
  impatient.abort()
  await gaveUp
  resolve()
  assert.equal(new Set(await Promise.all(others)).size, 1)
  assert.equal(agent.authority.jwtCalls.length, 1)
})

test("[AGT-22] through an outage the token is served while 10 s of it are left, then the reason is", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const token = await fetch(agent, "db")
  agent.authority.down = DOWN
  await agent.clock.advance(289)
  assert.equal(await fetch(agent, "db"), token)
  await agent.clock.advance(2)
  await assert.rejects(fetch(agent, "db"), { code: "not-ready" })
})

test("[AGT-22] tries ahead of need are backed off during an outage", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  await fetch(agent, "db")
  agent.authority.down = DOWN
  await agent.clock.advance(290)
  const tries = agent.authority.jwtCalls.length - 1
  assert.ok(tries > 5 && tries < 40, `${tries} tries in 155 s`)
})

test("[AGT-22] a refusal is an answer: the cached token is not served instead", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  await fetch(agent, "db")
  agent.authority.answerJwt = () => ({ kind: "failed", error: DENIED })
  await agent.clock.advance(200)
  await assert.rejects(fetch(agent, "db"), { code: "no-identity" })
})

test("[AGT-23] a token whose key left the bundle is not served again", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const first = await fetch(agent, "db")
  agent.authority.kid = "key-2"
  agent.authority.stream.snapshot(2, [CART], "first", ["key-1", "key-2"])
  await agent.settle()
  assert.equal(await fetch(agent, "db"), first)
  agent.authority.stream.snapshot(3, [CART], "first", ["key-2"])
  await agent.settle()
  assert.notEqual(await fetch(agent, "db"), first)
})

test("[AGT-46] a token from before a restore is not served again", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const first = await fetch(agent, "db")
  agent.authority.stream.snapshot(1_000_001, [CART], "second")
  await agent.settle()
  const second = await fetch(agent, "db")
  assert.notEqual(second, first)
  agent.authority.stream.snapshot(1_000_002, [CART], "second")
  await agent.settle()
  assert.equal(await fetch(agent, "db"), second)
})

test("[AGT-23] a token of an identity that was taken away is gone, also when it is given back", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART, PAY)
  const [first] = await agent.source.fetchJwt(["db"], PAY.spiffeId, never)
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  await assert.rejects(agent.source.fetchJwt(["db"], PAY.spiffeId, never), { code: "no-identity" })
  agent.authority.stream.snapshot(1, [CART, PAY])
  await agent.settle()
  const [second] = await agent.source.fetchJwt(["db"], PAY.spiffeId, never)
  assert.notEqual(second?.token, first?.token)
})

test("[AGT-14][AGT-23] a token that is on its way during an eviction is neither handed out nor kept", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const { promise, resolve } = Promise.withResolvers<void>()
  agent.authority.gate = promise
  const overtaken = assert.rejects(fetch(agent, "db"), { code: "no-identity" })
  await agent.settle()
  agent.authority.stream.push({ kind: "evict", reason: "node was lost" })
  await agent.settle()
  await agent.clock.advance(2)
  agent.authority.stream.snapshot(1, [CART])
  await agent.settle()
  const anew = fetch(agent, "db")
  await agent.settle()
  assert.equal(agent.authority.jwtCalls.length, 2)
  resolve()
  await overtaken
  const token = await anew
  assert.equal(await fetch(agent, "db"), token)
  assert.equal(agent.authority.jwtCalls.length, 2)
})

test("[AGT-23] a token that is on its way when its key leaves the bundle is not kept", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const { promise, resolve } = Promise.withResolvers<void>()
  agent.authority.gate = promise
  const first = fetch(agent, "db")
  await agent.settle()
  agent.authority.stream.snapshot(2, [CART], "first", ["key-2"])
  await agent.settle()
  resolve()
  await first
  await fetch(agent, "db")
  assert.equal(agent.authority.jwtCalls.length, 2)
})

test("[AGT-24] with 1024 tokens on their way, whoever asks for one more is told to come back", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent, CART)
  const { promise, resolve } = Promise.withResolvers<void>()
  agent.authority.gate = promise
  const waiting = Array.from({ length: 1024 }, (_, i) => fetch(agent, `aud-${i}`))
  await assert.rejects(fetch(agent, "one more"), { code: "rate-limited", retryAfter: 1 })
  resolve()
  await Promise.all(waiting)
  await fetch(agent, "one more")
})
