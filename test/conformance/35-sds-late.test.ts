import assert from "node:assert/strict"
import { connect } from "node:http2"
import { connect as connectSocket } from "node:net"
import { test } from "node:test"
import { credentials } from "@grpc/grpc-js"
import {
  DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DiscoveryRequest,
} from "../../src/gen/envoy/service/discovery/v3/discovery.ts"
import { SecretDiscoveryServiceClient } from "../../src/gen/envoy/service/secret/v3/sds.ts"
import { SourceFeed } from "../../src/transports/sds/source-feed.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeBundle, fakeView } from "../support/fake-view.ts"
import { makeScratch } from "../support/scratch.ts"
import { SdsClient } from "../support/sds-client.ts"
import { listenSds } from "../support/sds-under-test.ts"
import { until } from "../support/until.ts"

test("[SDS-13] what was to be sent before the identities were taken away is not sent after it", async () => {
  const source = new FakeSource({ kind: "ready", view: fakeView() })
  await using folder = await makeScratch("sds")
  await using sds = await listenSds({ path: folder.path("s"), source })
  using client = new SdsClient(sds.address)
  client.ask(["default"], ENVOY)
  await client.response(1)
  source.ready(fakeView({ epoch: 2 })) // waits for the answer
  await until("the watcher to have seen it", () => source.waiting === 1)
  source.deny()
  client.acknowledge(["default"])
  await until("the acknowledgement", () => source.reports.get("envoy-1")?.epoch === 1)
  source.ready(fakeView({ epoch: 3 }))
  const { versionInfo } = await client.response(2)
  using other = new SdsClient(sds.address)
  other.ask(["default"], ENVOY)
  assert.equal(versionInfo, (await other.response(1)).versionInfo)
})

test("[XDS-08] an answer to one response of a delta stream does not make the answer to another one waited for for ever", async () => {
  const source = new FakeSource({ kind: "ready", view: fakeView() })
  const clock = new FakeClock(1000)
  await using folder = await makeScratch("sds")
  await using sds = await listenSds({ path: folder.path("s"), source, clock })
  using client = openDelta(sds.address)
  client.ask({ resourceNamesSubscribe: ["default"], node: { id: "envoy-1" } })
  await until("the certificate", () => client.responses.length === 1)
  client.ask({ resourceNamesSubscribe: ["ROOTCA"] })
  await until("the roots", () => client.responses.length === 2)
  client.ask({ responseNonce: client.responses[1]?.nonce ?? "" })
  await until("the acknowledgement", () => sds.answers.ack === 1)
  source.ready(fakeView({ epoch: 2 }))
  await clock.advance(6)
  await until("the next certificate", () => client.responses.length === 3)
  assert.deepEqual(
    client.responses[2]?.resources.map(({ name }) => name),
    ["default"],
  )
})

test("[XDS-08] what is sent meanwhile does not make the answer to a response waited for any longer", async () => {
  const source = new FakeSource({ kind: "ready", view: fakeView() })
  const clock = new FakeClock(1000)
  await using folder = await makeScratch("sds")
  await using sds = await listenSds({ path: folder.path("s"), source, clock })
  using client = openDelta(sds.address)
  client.ask({ resourceNamesSubscribe: ["default"], node: { id: "envoy-1" } })
  await until("the certificate", () => client.responses.length === 1)
  source.ready(fakeView({ epoch: 2 }))
  await clock.advance(3)
  client.ask({ resourceNamesSubscribe: ["ROOTCA"] })
  await until("the roots", () => client.responses.length === 2)
  await clock.advance(3)
  await until("the next certificate", () => client.responses.length === 3)
  assert.deepEqual(
    client.responses.map(({ resources }) => resources.map(({ name }) => name)),
    [["default"], ["ROOTCA"], ["default"]],
  )
})

test("[XDS-08] a stream that nobody reads does not hold back the certificate of another one of its proxy", async () => {
  const bundle = (text: string) => fakeBundle("prod.example", { x509Authorities: [Buffer.alloc(300_000, text)] })
  const source = new FakeSource({ kind: "ready", view: fakeView({ own: bundle("a") }) })
  const clock = new FakeClock(1000)
  await using folder = await makeScratch("sds")
  await using sds = await listenSds({ path: folder.path("s"), source, clock })
  using _mute = openUnread(folder.path("s"), { resourceNames: ["ROOTCA"], ...ENVOY })
  await until("the roots to be on their way", () => sds.pushed.sotw === 1)
  using client = new SdsClient(sds.address)
  client.ask(["default"], ENVOY)
  await client.response(1)
  client.acknowledge(["default"])
  await until("the acknowledgement", () => sds.answers.ack === 1)
  source.ready(fakeView({ epoch: 2, own: bundle("b") }))
  await until("the watcher to have seen it", () => source.waiting === 1)
  await clock.advance(6)
  await client.response(2)
})

test("[SDS-18] a certificate waits while not all streams of its proxy know a change", async () => {
  const source = new FakeSource()
  await using feed = new SourceFeed(source)
  const told: string[] = []
  const certificate = { publish: () => told.push("certificate"), pump: () => undefined }
  const consumer = feed.join(certificate, "envoy-1")
  for (let i = 0; i < 15; i += 1) feed.join({ publish: () => undefined, pump: () => undefined }, `envoy-${i + 2}`)
  const trust = { publish: () => consumer.update(trust, undefined, true), pump: () => told.push("all") }
  feed.join(trust, "envoy-1") // beyond where the feed rests
  source.ready(fakeView({ epoch: 2 }))
  while (told.length === 0) await Promise.resolve()
  assert.equal(consumer.mustHold(certificate), true)
  await until("the change to have gone around", () => told.includes("all"))
  assert.equal(consumer.mustHold(certificate), true)
  consumer.update(trust, undefined, false)
  assert.equal(consumer.mustHold(certificate), false)
})

/** A stream that asks and never reads, so that what it is sent stays with the server; a library would read ahead. */
function openUnread(path: string, request: Parameters<typeof DiscoveryRequest.fromPartial>[0]): Disposable {
  const session = connect("http://localhost", { createConnection: () => connectSocket(path) })
  session.on("error", () => undefined)
  const stream = session.request({
    ":method": "POST",
    ":path": "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
    "content-type": "application/grpc",
    te: "trailers",
  })
  const message = DiscoveryRequest.encode(DiscoveryRequest.fromPartial(request)).finish()
  const header = Buffer.alloc(5)
  header.writeUInt32BE(message.length, 1)
  stream.on("error", () => undefined).write(Buffer.concat([header, message]))
  return { [Symbol.dispose]: () => session.destroy() }
}

function openDelta(address: string) {
  const client = new SecretDiscoveryServiceClient(address, credentials.createInsecure())
  const responses: DeltaDiscoveryResponse[] = []
  const stream = client.deltaSecrets()
  stream.on("data", (response: DeltaDiscoveryResponse) => responses.push(response)).on("error", () => undefined)
  return {
    responses,
    ask: (request: Parameters<typeof DeltaDiscoveryRequest.fromPartial>[0]) =>
      stream.write(DeltaDiscoveryRequest.fromPartial(request)),
    [Symbol.dispose]: () => {
      stream.cancel()
      client.close()
    },
  }
}

const ENVOY = { node: { id: "envoy-1" } }
