import assert from "node:assert/strict"
import { after, test } from "node:test"
import { queryObjects } from "node:v8"
import { ConsumerKind } from "../../src/gen/assay/v1/identity.ts"
import { IdentityPeer } from "../support/identity-peer.ts"
import { openServerUnderTest } from "../support/server-under-test.ts"
import { Subscriber } from "../support/subscriber.ts"
import { until } from "../support/until.ts"

let streamAge = 1800
const server = await openServerUnderTest({
  tune: (config) => ({ ...config, limits: { ...config.limits, streamAge } }),
})
after(() => server[Symbol.asyncDispose]())
const peer = new IdentityPeer(server)
after(() => peer[Symbol.dispose]())
const { trust } = server.pipeline
const WEB = "spiffe://prod.example/ns/shop/sa/web"

/** A change that every subscriber hears of. */
const bump = () => trust.update((record) => ({ ...record, epoch: record.epoch + 1 }))
const rows = () => server.listeners.subscribers.rows

test("[IDA-10] the snapshot of now comes at once, and the next one on each change", async () => {
  using subscriber = new Subscriber(peer, server.setup.token())
  subscriber.hello()
  const first = await subscriber.snapshot()
  assert.equal(first.epoch, trust.snapshot().epoch)
  assert.equal(first.incarnation, trust.snapshot().incarnation)
  assert.equal(first.bundle?.sequence, first.epoch)
  assert.deepEqual(
    first.identities.map(({ spiffeId, x509TtlSeconds, jwtTtlSeconds }) => [spiffeId, x509TtlSeconds, jwtTtlSeconds]),
    [[WEB, 3600, 300]],
  )
  await bump()
  assert.equal((await subscriber.snapshot(2)).epoch, first.epoch + 1)
})

test("[IDA-11] a reader that is slow gets the newest snapshot, not all that it missed", async () => {
  using subscriber = new Subscriber(peer, server.setup.token())
  subscriber.hello()
  await subscriber.snapshot()
  subscriber.pause()
  const changes = 1000
  for (let i = 0; i < changes; i++) await bump()
  const newest = trust.snapshot().epoch
  subscriber.resume()
  await until("the newest", () => subscriber.snapshots.at(-1)?.epoch === newest)
  assert.ok(subscriber.snapshots.length < changes / 2, `${subscriber.snapshots.length} snapshots were queued`)
})

test("[IDA-12] the stream ends well when its token expires, and when it reaches its age", async () => {
  using short = new Subscriber(peer, server.setup.token({ lifetime: 6 }))
  short.hello()
  await short.snapshot()
  assert.equal(await short.ended(), undefined)
  streamAge = 1
  await server.reload({})
  using aged = new Subscriber(peer, server.setup.token())
  assert.equal(await aged.ended(), undefined)
  assert.ok(aged.snapshots.length > 0)
  streamAge = 1800
  await server.reload({})
})

test("[IDA-13] a change of rules changes what a live subscriber is entitled to, and ends it when nothing is left", async () => {
  using subscriber = new Subscriber(peer, server.setup.token())
  subscriber.hello()
  await subscriber.snapshot()
  await server.reload({ rules: [{ name: "other", spiffe_id: "/other", x509_ttl: "10m" }] })
  const { identities, epoch } = await subscriber.snapshot(2)
  assert.deepEqual(
    identities.map(({ spiffeId }) => spiffeId),
    ["spiffe://prod.example/other"],
  )
  assert.equal(epoch, trust.snapshot().epoch)
  await server.reload({ rules: [{ name: "none", spiffe_id: "/none", service_account: ["nobody"] }] })
  const failure = await subscriber.ended()
  assert.deepEqual([failure?.status, failure?.code], [7, "no-identity"])
  await server.reload({})
})

test("[IDA-14] what a live stream acknowledged last is its epoch; a refusal stands beside it; the end clears both", async () => {
  using subscriber = new Subscriber(peer, server.setup.token())
  subscriber.hello("agent-7")
  const { epoch } = await subscriber.snapshot()
  const row = () => rows().find(({ agent }) => agent === "agent-7")
  subscriber.acknowledge(epoch)
  await until("the ACK", () => row()?.epoch === epoch)
  subscriber.acknowledge(epoch + 1, "no roots")
  await until("the NACK", () => row()?.nackReason === "no roots")
  assert.equal(row()?.epoch, epoch)
  subscriber.acknowledge(epoch - 1)
  await until("an older ACK", () => row()?.epoch === epoch - 1)
  assert.equal(row()?.nackReason, undefined)
  const consumer = { name: "envoy", kind: ConsumerKind.CONSUMER_KIND_SDS, epoch, nackReason: "" }
  subscriber.send({ $case: "report", value: { consumers: [consumer], unlisted: 3 } })
  await until("the report", () => row()?.consumers.length === 1)
  assert.equal(row()?.unlisted, 3)
  assert.deepEqual(row()?.consumers, [{ name: "envoy", kind: "sds", epoch, nackReason: undefined }])
  const long = { ...consumer, name: "n".repeat(254), nackReason: "r".repeat(1025) }
  subscriber.send({ $case: "report", value: { consumers: [long], unlisted: 0 } })
  await until("the cut report", () => row()?.unlisted === 0)
  assert.deepEqual(row()?.consumers, [{ name: "n".repeat(253), kind: "sds", epoch, nackReason: "r".repeat(1024) }])
  subscriber.finish()
  assert.equal(await subscriber.ended(), undefined)
  await until("the row is gone", () => row() === undefined)
})

test("[IDA-14] a stream that is cut off leaves nothing behind", async () => {
  const subscriber = new Subscriber(peer, server.setup.token())
  subscriber.hello("cut")
  await until("the row", () => rows().some(({ agent }) => agent === "cut"))
  subscriber[Symbol.dispose]()
  await until("the row is gone", () => rows().every(({ agent }) => agent !== "cut"))
})

const CONSUMER = { name: "x", kind: ConsumerKind.CONSUMER_KIND_FILE, epoch: 0, nackReason: "" }
const DISORDER: readonly (readonly [name: string, send: (subscriber: Subscriber) => void])[] = [
  ["an ACK before hello", (subscriber) => subscriber.acknowledge(1)],
  ["an empty message", (subscriber) => subscriber.send(undefined)],
  [
    "a second hello",
    (subscriber) => {
      subscriber.hello()
      subscriber.hello()
    },
  ],
  [
    "more than 1024 consumers",
    (subscriber) => {
      subscriber.hello()
      subscriber.send({
        $case: "report",
        value: { consumers: Array.from({ length: 1025 }, () => CONSUMER), unlisted: 0 },
      })
    },
  ],
]
for (const [name, send] of DISORDER) {
  test(`[IDA-15] ${name} ends the stream as malformed, and leaves nothing behind`, async () => {
    using subscriber = new Subscriber(peer, server.setup.token())
    send(subscriber)
    const failure = await subscriber.ended()
    assert.deepEqual([failure?.status, failure?.code], [3, "malformed"])
    await until("no rows", () => rows().length === 0)
  })
}

test("[IDA-02] a subscriber without a token, or with one that does not attest, is refused", async () => {
  for (const [token, reason] of [
    [undefined, "token-missing"],
    ["nonsense", "token-malformed"],
  ] as const) {
    using subscriber = new Subscriber(peer, token)
    const failure = await subscriber.ended()
    assert.deepEqual([failure?.status, failure?.reason], [16, reason])
    assert.notEqual(failure?.requestId, "")
  }
})

test("[IDA-13] only the banned are told to stop serving what they hold, not who has nothing left or does not attest", async () => {
  using left = new Subscriber(peer, server.setup.token())
  left.hello()
  await left.snapshot()
  await server.reload({ rules: [{ name: "other", namespace: "other", spiffe_id: "/other" }] })
  assert.ok((await left.ended()) !== undefined)
  await server.reload({})
  using stranger = new Subscriber(peer, "a.b.c")
  assert.ok((await stranger.ended()) !== undefined)
  assert.deepEqual([left.evictions, stranger.evictions], [[], []])
})

test("[IDA-14] streams that ended leave nothing behind that waits for when they would have ended", async () => {
  const token = server.setup.token()
  const openAndLeave = async (count: number) => {
    for (let i = 0; i < count; i++) {
      using subscriber = new Subscriber(peer, token)
      subscriber.hello()
      await subscriber.snapshot()
    }
    await until("all are gone", () => rows().length === 0)
  }
  await openAndLeave(10)
  const before = alive(AbortSignal)
  await openAndLeave(100)
  await until("their signals are gone", () => alive(AbortSignal) - before < 20)
})

test("[IDA-11] a stream keeps nothing of the changes that it was told of", async () => {
  using subscriber = new Subscriber(peer, server.setup.token())
  subscriber.hello()
  await subscriber.snapshot()
  const change = async (times: number) => {
    for (let i = 0; i < times; i++) {
      server.pipeline.rulesChanged()
      await subscriber.snapshot(subscriber.snapshots.length + 1)
    }
  }
  await change(20)
  const before = alive(Promise)
  await change(300)
  await until("what waited for them is gone", () => alive(Promise) - before < 100)
})

/** How many there are after a full collection. */
function alive(kind: typeof AbortSignal | typeof Promise): number {
  return queryObjects(kind, { format: "count" })
}
