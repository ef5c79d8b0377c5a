import assert from "node:assert/strict"
import { test } from "node:test"
import type { ServerDuplexStream } from "@grpc/grpc-js"
import type { DiscoveryRequest } from "../../../../src/gen/envoy/service/discovery/v3/discovery.ts"
import { encodeDiscoveryResponse } from "../../../../src/transports/sds/discovery-wire.ts"
import { makeSdsEvents } from "../../../../src/transports/sds/sds-events.ts"
import { SdsStream } from "../../../../src/transports/sds/sds-stream.ts"
import { makeSecretEncoder } from "../../../../src/transports/sds/secret-encoder.ts"
import { SPIRE_WORDS } from "../../../../src/transports/sds/secret-names.ts"
import { type SotwRequest, SotwSession } from "../../../../src/transports/sds/sotw-session.ts"
import { SourceFeed } from "../../../../src/transports/sds/source-feed.ts"
import { FakeSource } from "../../../support/fake-source.ts"
import { fakeView } from "../../../support/fake-view.ts"
import { quietLog } from "../../../support/quiet-log.ts"

test("a stream that was left sends and reports nothing more when its last write ends", async () => {
  const source = new FakeSource({ kind: "ready", view: fakeView() })
  await using feed = new SourceFeed(source)
  const writes: (() => void)[] = []
  const write = (_bytes: Buffer, done: () => void) => writes.push(done)
  // Of a call, a stream uses nothing but this.
  const call = { write } as unknown as ServerDuplexStream<SotwRequest, Buffer>
  const encoder = makeSecretEncoder(SPIRE_WORDS)
  const stream = new SdsStream<SotwRequest>(call, {
    door: "sotw",
    events: makeSdsEvents(quietLog, { streams: ignore, pushed: ignore, answered: ignore }),
    encode: encodeDiscoveryResponse,
    now: () => 0,
    session: new SotwSession({ names: 8 }),
    secrets: (view) => encoder(view, "spiffe"),
    feed,
    consumerName: "envoy-1",
  })
  const ask = (request: Partial<DiscoveryRequest>) =>
    stream.receive({ resourceNames: ["default"], responseNonce: "", errorDetail: undefined, ...request })
  ask({})
  assert.equal(writes.length, 1)
  ask({ resourceNames: ["default", "ROOTCA"], responseNonce: "1" })
  assert.equal(writes.length, 1, "one write at a time")
  assert.ok(source.reports.has("envoy-1"))
  stream.leave("ended")
  writes[0]?.()
  assert.equal(writes.length, 1)
  assert.ok(!source.reports.has("envoy-1"))
})

function ignore(): void {}
