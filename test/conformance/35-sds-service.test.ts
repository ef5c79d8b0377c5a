import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import type { IdentityView } from "../../src/app/deliver/identity-source.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { DiscoveryRequest, type DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery.ts"
import { SourceFeed } from "../../src/transports/sds/source-feed.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeBundle, fakeSvid, fakeView } from "../support/fake-view.ts"
import { makeScratch } from "../support/scratch.ts"
import { SdsClient, secretsOf } from "../support/sds-client.ts"
import { listenSds, type SdsOptions, type SdsUnderTest } from "../support/sds-under-test.ts"
import { until } from "../support/until.ts"

const CART = "spiffe://prod.example/ns/shop/sa/cart"
const ENVOY = { node: { id: "envoy-1", metadata: { disable_spiffe_cert_validation: true } } }

test("[SDS-01] keeps what the first request said of the node", async (t) => {
  const { sds, source } = await start(t)
  using client = new SdsClient(sds.address)
  client.ask(["ROOTCA"], ENVOY)
  await client.response(1)
  source.ready(fakeView({ epoch: 2, own: fakeBundle("prod.example", { x509Authorities: [Buffer.from("new")] }) }))
  client.acknowledge(["ROOTCA"])
  const [secret] = secretsOf(await client.response(2))
  assert.ok(secret?.type?.$case === "validationContext" && secret.type.value.trustedCa !== undefined)
  client.acknowledge(["ROOTCA"])
  await until("epoch 2", () => source.reports.get("envoy-1")?.epoch === 2)
})

test("[SDS-07][PIT-08] serves any mix of names on one stream and survives those that are nobody's", async (t) => {
  const { sds } = await start(t)
  using client = new SdsClient(sds.address)
  client.ask(["default", "file-root:system", CART, "ROOTCA", "ALL", "spiffe://prod.example", "spiffe://late.example"])
  const names = secretsOf(await client.response(1)).map(({ name }) => name)
  assert.deepEqual(names, ["default", CART, "ROOTCA", "ALL", "spiffe://prod.example"])
  assert.equal(client.status, undefined)
})

test("[SDS-12] answers a stream that comes back, and takes back what was reported when it went", async (t) => {
  const { sds, source } = await start(t)
  const first = new SdsClient(sds.address)
  first.ask(["ROOTCA"], ENVOY)
  const { versionInfo } = await first.response(1)
  first.acknowledge(["ROOTCA"])
  await until("the acknowledgement", () => source.reports.get("envoy-1")?.epoch === 1)
  first[Symbol.dispose]()
  await until("the end", () => !source.reports.has("envoy-1"))
  using second = new SdsClient(sds.address)
  second.ask(["ROOTCA"], { ...ENVOY, versionInfo })
  assert.equal((await second.response(1)).versionInfo, versionInfo)
  assert.equal(sds.streams(), 1)
  await until("the lease to be given back", () => sds.leases() === 1)
})

test("[SDS-13][PIT-07] stays silent while there is no identity, or none is given, and answers as soon as there is", async (t) => {
  const { sds, source } = await start(t, { source: new FakeSource() })
  using client = new SdsClient(sds.address)
  client.ask(["default"], ENVOY)
  await until("the stream", () => sds.streams() === 1)
  source.deny()
  source.ready(fakeView())
  assert.equal((await client.response(1)).resources.length, 1)
  source.deny()
  client.acknowledge(["default"])
  await until("the acknowledgement", () => sds.answers.ack === 1)
  assert.equal(client.status, undefined)
  assert.equal(client.responses.length, 1)
})

test("[SDS-13][SDS-17] fetches what exists, or fails with the reason why there is nothing", async (t) => {
  const { sds, source } = await start(t)
  using client = new SdsClient(sds.address)
  assert.deepEqual(
    secretsOf(await fetchOnce(client, ["default", "nobody", "default"])).map(({ name }) => name),
    ["default"],
  )
  assert.deepEqual(secretsOf(await fetchOnce(client, [])), [])
  source.wait()
  await assert.rejects(fetchOnce(client, ["default"]), { code: 14 })
  source.deny()
  await assert.rejects(fetchOnce(client, ["default"]), { code: 7 })
  await until("every lease to be given back", () => sds.leases() <= 1)
})

test("[SDS-18] holds a new certificate back until the same proxy has taken the new trust on its other stream", async (t) => {
  const { sds, source } = await start(t)
  using certificate = new SdsClient(sds.address)
  using trust = new SdsClient(sds.address)
  certificate.ask(["default"], ENVOY)
  trust.ask(["ROOTCA"], ENVOY)
  await Promise.all([certificate.response(1), trust.response(1)])
  certificate.acknowledge(["default"])
  trust.acknowledge(["ROOTCA"])
  await until("both acknowledgements", () => sds.answers.ack === 2)
  source.ready(fakeView({ epoch: 2, own: fakeBundle("prod.example", { x509Authorities: [Buffer.from("new")] }) }))
  await trust.response(2)
  assert.equal(certificate.responses.length, 1)
  assert.equal(sds.pushed.sotw, 3)
  trust.acknowledge(["ROOTCA"])
  await certificate.response(2)
})

test("[SDS-20] reports the least epoch of a proxy's streams", async (t) => {
  const { sds, source } = await start(t)
  using certificate = new SdsClient(sds.address)
  using trust = new SdsClient(sds.address)
  certificate.ask(["default"], ENVOY)
  trust.ask(["ROOTCA"], ENVOY)
  await Promise.all([certificate.response(1), trust.response(1)])
  trust.acknowledge(["ROOTCA"])
  await until("one acknowledgement", () => sds.answers.ack === 1)
  assert.equal(source.reports.get("envoy-1")?.epoch, 0)
  certificate.acknowledge(["default"])
  await until("the other", () => source.reports.get("envoy-1")?.epoch === 1)
})

test("[SDS-19] sends a proxy that does not answer nothing of what was overtaken", async (t) => {
  const { sds, source } = await start(t)
  using client = new SdsClient(sds.address)
  client.ask(["default"], ENVOY)
  await client.response(1)
  for (let epoch = 2; epoch <= 20; epoch += 1) {
    source.ready(fakeView({ epoch, svids: [fakeSvid(CART)] }))
    await until("the watcher to have seen it", () => source.waiting === 1)
  }
  client.acknowledge(["default"])
  await client.response(2)
  client.acknowledge(["default"])
  await until("the newest epoch", () => source.reports.get("envoy-1")?.epoch === 20)
  assert.equal(client.responses.length, 2)
})

test("[SDS-21] a stream that opens while a change goes around does not go back to what is replaced already", async () => {
  const source = new FakeSource()
  await using feed = new SourceFeed(source)
  const given = { first: [] as number[], late: [] as number[] }
  const joinAs = (whose: keyof typeof given) => {
    const publish = ({ snapshot }: IdentityView) => void given[whose].push(snapshot.epoch)
    feed.join({ publish, pump: () => undefined }, "envoy-1")
    if (feed.view !== undefined) publish(feed.view)
  }
  for (let i = 0; i < 16; i += 1) joinAs("first") // after so many the feed rests
  source.ready(fakeView({ epoch: 2 }))
  while (given.first.length < 16) await Promise.resolve()
  source.ready(fakeView({ epoch: 3 }))
  joinAs("late")
  await until("the newest to have gone around", () => given.first.length === 32 && given.late.length > 1)
  assert.deepEqual(given.late, [3, 3])
})

test("[XDS-05] refuses another type URL", async (t) => {
  const { sds } = await start(t)
  using client = new SdsClient(sds.address)
  client.ask(["default"], { typeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster" })
  assert.equal(await client.ended(), 3)
})

test("[XDS-01] refuses a stream that asks for too many names", async (t) => {
  const { sds } = await start(t)
  using client = new SdsClient(sds.address)
  client.ask(Array.from({ length: 257 }, (_, index) => `name-${index}`))
  assert.equal(await client.ended(), 3)
})

test("[XDS-06] refuses streams above its bound, and a caller that is not attested", async (t) => {
  const { sds } = await start(t, { limits: { streams: 1 } })
  using first = new SdsClient(sds.address)
  first.ask(["default"])
  await first.response(1)
  using second = new SdsClient(sds.address)
  assert.equal(await second.ended(), 8)
  first[Symbol.dispose]()
  await until("the place to be free", () => sds.streams() === 0)

  const openSource = async () => {
    throw new IdentityError("unauthenticated", "no")
  }
  const closed = await start(t, { openSource })
  using third = new SdsClient(closed.sds.address)
  assert.equal(await third.ended(), 16)
})

test("[XDS-07] ends a stream cleanly at its greatest age, and when the caller's proof expires", async (t) => {
  for (const bound of ["age", "expiry"] as const) {
    const clock = new FakeClock(1000)
    const source = new FakeSource({ kind: "ready", view: fakeView() })
    const notAfter = bound === "expiry" ? { notAfter: 1000 + 3600 } : {}
    const openSource = async () => ({ source, ...notAfter, async [Symbol.asyncDispose]() {} })
    const { sds } = await start(t, { clock, openSource, limits: { streamAge: bound === "age" ? 3600 : undefined } })
    using client = new SdsClient(sds.address)
    client.ask(["default"])
    await client.response(1)
    await clock.advance(3600)
    assert.equal(await client.ended(), 0)
  }
})

test("[XDS-08] goes on to the newest secret when an answer is missing", async (t) => {
  const clock = new FakeClock(1000)
  const { sds, source } = await start(t, { clock })
  using client = new SdsClient(sds.address)
  client.ask(["default"])
  await client.response(1)
  source.ready(fakeView({ epoch: 2 }))
  await clock.advance(6)
  assert.notEqual((await client.response(2)).versionInfo, client.responses[0]?.versionInfo)
})

test("[XDS-01] FetchSecrets counts names, not how often each is said", async (t) => {
  const { sds } = await start(t)
  using client = new SdsClient(sds.address)
  const { resources } = await fetchOnce(client, Array(1000).fill("default"))
  assert.equal(resources.length, 1)
  const many = Array.from({ length: 257 }, (_, i) => `name-${i}`)
  await assert.rejects(fetchOnce(client, many), { code: 3 })
})

async function start(t: TestContext, options: Partial<SdsOptions> & { readonly source?: FakeSource } = {}) {
  const source = options.source ?? new FakeSource({ kind: "ready", view: fakeView() })
  const folder = await makeScratch("sds")
  const sds: SdsUnderTest = await listenSds({ path: folder.path("s"), ...options, source })
  t.after(async () => {
    await sds[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })
  return { sds, source }
}

function fetchOnce(client: SdsClient, resourceNames: string[]): Promise<DiscoveryResponse> {
  return new Promise((resolve, reject) => {
    client.client.fetchSecrets(DiscoveryRequest.fromPartial({ resourceNames }), (error, response) =>
      error === null ? resolve(response) : reject(error),
    )
  })
}
