import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { after, test } from "node:test"
import { credentials } from "@grpc/grpc-js"
import { SecretDiscoveryServiceClient } from "../../src/gen/envoy/service/secret/v3/sds.ts"
import { banishing } from "../support/ban-order.ts"
import { failureOf, IdentityPeer, provenKey } from "../support/identity-peer.ts"
import { openSecretStream } from "../support/secret-stream.ts"
import { openServerUnderTest } from "../support/server-under-test.ts"
import { Subscriber } from "../support/subscriber.ts"
import { until } from "../support/until.ts"

const server = await openServerUnderTest()
after(() => server[Symbol.asyncDispose]())
const peer = new IdentityPeer(server)
after(() => peer[Symbol.dispose]())
const secrets = new SecretDiscoveryServiceClient(server.address, credentials.createSsl(Buffer.from(server.roots)), {
  "grpc.ssl_target_name_override": "localhost",
})
after(() => secrets.close())
const { trust, bans } = server.pipeline
const { ban, lift } = banishing(bans, server.clock)

const ID = (serviceAccount: string) => `spiffe://prod.example/ns/shop/sa/${serviceAccount}`
/** Code and reason of what was recorded of a caller whose name contains `part`. */
const refusedStreams = (part: string) => {
  using db = new DatabaseSync(server.live().config.storage.sqlite, { readOnly: true, timeout: 10_000 })
  const rows = db.prepare("SELECT actor, data FROM audit_event WHERE type = 'stream.refused'").all()
  const records = rows.filter(({ actor }) => String(actor).includes(part)).map(({ data }) => JSON.parse(String(data)))
  return records.map(({ code, reason, count }) => `${code} ${reason} ${count}`)
}
const rows = () => server.listeners.subscribers.rows
const bump = () => trust.update((record) => ({ ...record, epoch: record.epoch + 1 }))

test("[REVO-02] a subscription is told to evict, ends, and is refused with its renewal; the one beside it goes on", async () => {
  const token = server.setup.token({ serviceAccount: "victim" })
  using victim = new Subscriber(peer, token)
  using neighbour = new Subscriber(peer, server.setup.token({ serviceAccount: "victim2" }))
  for (const one of [victim, neighbour]) {
    one.hello()
    await one.snapshot()
  }
  await peer.x509({ key: provenKey(token) }, token)
  await ban("identity", ID("victim"))
  const failure = await victim.ended()
  assert.deepEqual([failure?.status, failure?.code, failure?.reason], [7, "policy-denied", "banned"])
  assert.deepEqual(victim.evictions, ["banned"])
  for (const renewal of [peer.x509({ key: provenKey(token) }, token), peer.jwt({}, token)]) {
    assert.equal((await failureOf(renewal)).reason, "banned")
  }
  const [inBatch] = (await peer.batchX509([{ key: provenKey(token) }], token)).results
  assert.ok(inBatch?.result?.$case === "problem")
  assert.equal(inBatch.result.value.reason, "banned")
  using again = new Subscriber(peer, token)
  again.hello()
  assert.equal((await again.ended())?.reason, "banned")
  assert.equal(again.snapshots.length, 0)
  await bump()
  await neighbour.snapshot(2)
})

test("[REVO-02] a reader that reads nothing is evicted as soon as the others", async () => {
  const token = server.setup.token({ serviceAccount: "mute" })
  using mute = new Subscriber(peer, token)
  mute.hello("mute")
  await mute.snapshot()
  mute.pause()
  const seen = () => rows().find(({ agent }) => agent === "mute")
  for (let i = 0; i < 1000; i++) await bump()
  const before = await told()
  await ban("identity", ID("mute"))
  await until("the end of the stream at the server", () => seen() === undefined)
  assert.equal(await told(), before + 1)
  mute.resume()
  assert.equal((await mute.ended())?.reason, "banned")
})

test("[REVO-02][BAN-06] a remote SDS stream ends, and the proxy is refused when it comes back, which is recorded", async () => {
  const token = server.setup.token({ serviceAccount: "proxied" })
  const stream = openSecretStream(secrets, token)
  await until("both secrets", () => stream.secrets.length === 2)
  await ban("prefix", "spiffe://prod.example/ns/shop/sa/proxied")
  await until("the end", () => stream.code !== undefined)
  assert.equal(stream.code, 7)
  const again = openSecretStream(secrets, token)
  await until("the end", () => again.code !== undefined)
  assert.deepEqual([again.code, again.secrets.length], [7, 0])
  const record = () => refusedStreams("/proxied/")
  await until("the record", () => record().length > 0)
  const third = openSecretStream(secrets, token)
  await until("the end", () => third.code !== undefined)
  assert.deepEqual(record(), ["policy-denied banned 1"], "those that follow are counted")
  await lift("prefix", "spiffe://prod.example/ns/shop/sa/proxied")
  const back = openSecretStream(secrets, token)
  await until("both secrets again", () => back.secrets.length === 2)
  back.call.cancel()
})

test("[REVO-02] a stream that has another identity goes on with that", async () => {
  await server.reload({
    rules: [
      { name: "first", spiffe_id: "/first", hint: "a" },
      { name: "second", spiffe_id: "/second", hint: "b" },
    ],
  })
  using subscriber = new Subscriber(peer, server.setup.token({ serviceAccount: "both" }))
  subscriber.hello()
  assert.equal((await subscriber.snapshot()).identities.length, 2)
  await ban("identity", "spiffe://prod.example/first")
  const { identities } = await subscriber.snapshot(2)
  assert.deepEqual(
    identities.map(({ spiffeId }) => spiffeId),
    ["spiffe://prod.example/second"],
  )
  await lift("identity", "spiffe://prod.example/first")
  assert.equal((await subscriber.snapshot(3)).identities.length, 2)
  assert.deepEqual(subscriber.evictions, [])
  await server.reload({})
})

test("[BAN-07] a live stream has its other identity again when the ban of that has ended by itself", async () => {
  const stop = new AbortController()
  const following = bans.run(stop.signal)
  await server.reload({
    rules: [
      { name: "stays", spiffe_id: "/stays", hint: "a" },
      { name: "returns", spiffe_id: "/returns", hint: "b" },
    ],
  })
  using subscriber = new Subscriber(peer, server.setup.token({ serviceAccount: "both" }))
  subscriber.hello()
  assert.equal((await subscriber.snapshot()).identities.length, 2)
  await ban("identity", "spiffe://prod.example/returns", server.clock.now() + 5)
  assert.equal((await subscriber.snapshot(2)).identities.length, 1)
  assert.equal((await subscriber.snapshot(3)).identities.length, 2)
  stop.abort()
  await following
  await server.reload({})
})

test("[BAN-13] each ban is observed once, with the streams that it ended, and one that concerns nobody as well", async () => {
  const subscribers = await Promise.all(
    ["x", "y", "z"].map(async (agent) => {
      const one = new Subscriber(peer, server.setup.token({ serviceAccount: "crowd" }))
      one.hello(agent)
      await one.snapshot()
      return one
    }),
  )
  const [observed, streams] = [await propagations(), await told()]
  await ban("identity", ID("crowd"))
  for (const one of subscribers) await one.ended()
  assert.deepEqual([(await propagations()) - observed, (await told()) - streams], [1, 3])
  await ban("node", "main/nobody-there")
  assert.deepEqual([(await propagations()) - observed, (await told()) - streams], [2, 3])
})

async function told(): Promise<number> {
  return (await server.metrics.evicted.get()).values[0]?.value ?? 0
}

async function propagations(): Promise<number> {
  const { values } = await server.metrics.revocationPropagation.get()
  return values.find(({ metricName }) => metricName?.endsWith("_count"))?.value ?? 0
}
