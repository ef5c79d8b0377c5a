import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { after, test } from "node:test"
import { credentials } from "@grpc/grpc-js"
import type { BanListener } from "../../src/app/ban/ban-view.ts"
import { makeCountNamed } from "../../src/app/ban/count-named.ts"
import { LiveStreams } from "../../src/app/ban/live-streams.ts"
import { parseBanTarget, type RecordedBan } from "../../src/core/ban/ban.ts"
import { NOBODY } from "../../src/core/ban/ban-index.ts"
import { keyNameOf } from "../../src/core/ban/key-name.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { DiscoveryRequest, type DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery.ts"
import { SecretDiscoveryServiceClient } from "../../src/gen/envoy/service/secret/v3/sds.ts"
import { banishing } from "../support/ban-order.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { failureOf, IdentityPeer, provenKey } from "../support/identity-peer.ts"
import { makeScratch } from "../support/scratch.ts"
import { openSecretStream } from "../support/secret-stream.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { openServerUnderTest, type ServerUnderTest } from "../support/server-under-test.ts"
import { Subscriber } from "../support/subscriber.ts"
import { until } from "../support/until.ts"

const server = await openServerUnderTest()
after(() => server[Symbol.asyncDispose]())
const peer = new IdentityPeer(server)
after(() => peer[Symbol.dispose]())
const { bans, trust } = server.pipeline
const { ban, lift } = banishing(bans, server.clock)
const countNamed = makeCountNamed({
  holdings: server.state.store.holdings,
  streams: server.pipeline.liveStreams,
  clock: server.clock,
})
const bump = () => trust.update((record) => ({ ...record, epoch: record.epoch + 1 }))

test("[BAN-16][BAN-13][BAN-14] a ban by key tells the streams of who holds it at once, ends none, and stops no other key", async () => {
  const token = server.setup.token({ serviceAccount: "holder" })
  using holder = await subscribe(server, token)
  using twin = await subscribe(server, token)
  using neighbour = await subscribe(server, server.setup.token({ serviceAccount: "holder" }))
  const { name } = await certify(token)
  const target = parseBanTarget("key", name)
  const dry = await countNamed(target)
  assert.deepEqual([dry.streams, dry.holders?.holders], [2, 1])
  assert.ok((dry.holders?.lastExpiry ?? 0) > server.clock.now())
  const before = await spread()
  await ban("key", name)
  await until("both streams", () => holder.evictedKeys.length + twin.evictedKeys.length === 2)
  assert.deepEqual([holder.evictedKeys, twin.evictedKeys], [[name], [name]])
  await until("the measure", async () => (await spread()).bans === before.bans + 1)
  assert.equal((await spread()).streams, before.streams + 2)
  const recorded = bans.find(target) ?? assert.fail("not banned")
  assert.equal(await server.pipeline.liveStreams.late(recorded), 0)
  await certify(token)
  await bump()
  const { epoch } = trust.snapshot()
  for (const one of [holder, twin, neighbour]) await until("the bump", () => one.snapshots.at(-1)?.epoch === epoch)
  assert.deepEqual([holder.evictedKeys.length, neighbour.evictedKeys, holder.evictions], [1, [], []])
})

test("[BAN-16] a certificate that its holder has replaced is found as well; one that was never given is nobody's", async () => {
  const token = server.setup.token({ serviceAccount: "renewed" })
  using holder = await subscribe(server, token)
  const first = await certify(token)
  await certify(token, first.serial)
  await ban("key", first.name)
  await until("the stream", () => holder.evictedKeys.length === 1)
  const unknown = keyNameOf(Buffer.from("nobody's"))
  assert.deepEqual(await countNamed(parseBanTarget("key", unknown)), {
    streams: 0,
    holders: { holders: 0, lastExpiry: undefined },
  })
  const before = await spread()
  await ban("key", unknown)
  await until("the measure", async () => (await spread()).bans === before.bans + 1)
  assert.equal((await spread()).streams, before.streams)
})

test("[BAN-17] a stream that begins is told once while the ban is in force, and no more once it was lifted", async () => {
  const token = server.setup.token({ serviceAccount: "returning" })
  const { name } = await certify(token)
  await ban("key", name)
  using first = await subscribe(server, token)
  await until("the first stream", () => first.evictedKeys.length === 1)
  await bump()
  const { epoch } = trust.snapshot()
  await until("the bump", () => first.snapshots.at(-1)?.epoch === epoch)
  assert.deepEqual(first.evictedKeys, [name])
  await lift("key", name)
  using second = await subscribe(server, token)
  assert.deepEqual(second.evictedKeys, [])
  await ban("key", name)
  await until("both, anew", () => first.evictedKeys.length === 2 && second.evictedKeys.length === 1)
})

test("[BAN-17] a server that starts knows who holds the keys that are banned, and tells them when they come back", async () => {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(await makeScratch())
  const setup = await makeServerSetup(scratch.directory)
  const token = setup.token()
  const name = await (async () => {
    await using first = await openServerUnderTest({ setup })
    const banned = await certify(token, "", first)
    await banishing(first.pipeline.bans, first.clock).ban("key", banned.name)
    return banned.name
  })()
  const second = stack.use(await openServerUnderTest({ setup, init: false }))
  const before = await spread(second)
  using holder = await subscribe(second, token)
  await until("the holder to be told", () => holder.evictedKeys.length > 0)
  assert.deepEqual(holder.evictedKeys, [name])
  assert.deepEqual(await spread(second), before, "it has been measured by who was there")
})

test("[BAN-16] while the log cannot be read, nothing else waits for it; streams are told as soon as it can", async () => {
  const { holdings } = server.state.store
  const read = holdings.readKeyHolders.bind(holdings)
  const token = server.setup.token({ serviceAccount: "unread" })
  using holder = await subscribe(server, token)
  const { name } = await certify(token)
  const stop = new AbortController()
  const running = server.pipeline.keyHolders.run(stop.signal)
  let tries = 0
  holdings.readKeyHolders = async (...asked) => {
    if (++tries < 3) throw new IdentityError("not-ready", "disk I/O error")
    return read(...asked)
  }
  await ban("key", name)
  assert.equal((await failureOf(certifyAgain(token, name))).reason, "banned")
  assert.deepEqual(holder.evictedKeys, [])
  await until("the stream", () => holder.evictedKeys.length === 1)
  assert.equal(tries, 3)
  stop.abort()
  await running
})

test("[BAN-14] while it is not known who holds a key, an answer says so after ten seconds, and never that nobody was late", async () => {
  const clock = new FakeClock(1_800_000_000)
  const found = Promise.withResolvers<void>()
  let ofHolder: readonly RecordedBan[] = []
  const keyHolders = { bansOf: () => ofHolder, learn: () => found.promise }
  const listeners: BanListener[] = []
  const view = { onChange: (listener: BanListener) => void listeners.push(listener) }
  const streams = new LiveStreams(view, { clock, events: { propagated: () => undefined }, keyHolders })
  const target = parseBanTarget("key", "ab".repeat(32))
  const recorded = {
    sequence: 1,
    ban: { target, reason: "", actor: "", createdAt: 0, until: undefined },
    liftedAt: undefined,
  }
  using stream = streams.enter(
    () => NOBODY,
    () => undefined,
  )
  for (const listener of listeners) listener([recorded], 0)
  const unknown = streams.late(recorded)
  await clock.advance(10)
  assert.equal(await unknown, undefined)
  ofHolder = [recorded]
  found.resolve()
  const late = streams.late(recorded)
  await clock.advance(0)
  await clock.advance(1)
  assert.equal(await late, 1)
  stream.settled()
  assert.equal(await streams.late(recorded), 0)
})

test("[BAN-16] a proxy at remote SDS gets another key on its stream, which goes on", async () => {
  const secrets = new SecretDiscoveryServiceClient(server.address, credentials.createSsl(Buffer.from(server.roots)), {
    "grpc.ssl_target_name_override": "localhost",
  })
  using _closing = { [Symbol.dispose]: () => secrets.close() }
  const stream = openSecretStream(secrets, server.setup.token({ serviceAccount: "proxied" }))
  stream.call.on("data", ({ versionInfo, nonce: responseNonce }: DiscoveryResponse) => {
    const resourceNames = ["default", "ROOTCA"]
    stream.call.write(DiscoveryRequest.fromPartial({ resourceNames, versionInfo, responseNonce }))
  })
  const leaves = () =>
    stream.secrets.flatMap(({ type }) => {
      const chain = type?.$case === "tlsCertificate" ? type.value.certificateChain?.specifier : undefined
      return chain?.$case === "inlineBytes" ? [new X509Certificate(chain.value)] : []
    })
  await until("the first certificate", () => leaves().length === 1)
  const nameOf = (leaf: X509Certificate | undefined) =>
    keyNameOf(leaf?.publicKey.export({ format: "der", type: "spki" }) ?? assert.fail("no certificate"))
  const first = nameOf(leaves()[0])
  await ban("key", first)
  await until("another", () => leaves().length === 2)
  assert.notEqual(nameOf(leaves()[1]), first)
  assert.equal(stream.code, undefined)
  stream.call.cancel()
})

async function subscribe(to: ServerUnderTest, token: string): Promise<Subscriber> {
  const subscriber = new Subscriber(to === server ? peer : new IdentityPeer(to), token)
  subscriber.hello()
  await subscriber.snapshot()
  return subscriber
}

/** A certificate for a fresh key, and how bans name that. */
async function certify(token: string, renews = "", from = server) {
  const key = provenKey(token)
  assert.ok(key.$case === "provenKey")
  keys.set(keyNameOf(key.value.publicKey), key)
  const { chain } = await (from === server ? peer : new IdentityPeer(from)).x509({ key, renews }, token)
  const serial = new X509Certificate(chain[0] ?? Buffer.alloc(0)).serialNumber.toLowerCase()
  return { name: keyNameOf(key.value.publicKey), serial }
}

function certifyAgain(token: string, name: string) {
  return peer.x509({ key: keys.get(name) }, token)
}

const keys = new Map<string, ReturnType<typeof provenKey>>()

async function spread({ metrics } = server) {
  const { values } = await metrics.revocationPropagation.get()
  const streams = (await metrics.evicted.get()).values[0]?.value ?? 0
  return { bans: values.find(({ metricName }) => metricName?.endsWith("_count"))?.value ?? 0, streams }
}
