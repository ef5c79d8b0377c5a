import assert from "node:assert/strict"
import { test } from "node:test"
import { credentials } from "@grpc/grpc-js"
import {
  DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
} from "../../src/gen/envoy/service/discovery/v3/discovery.ts"
import { SecretDiscoveryServiceClient } from "../../src/gen/envoy/service/secret/v3/sds.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeView } from "../support/fake-view.ts"
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
