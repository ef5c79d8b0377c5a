import assert from "node:assert/strict"
import { test } from "node:test"
import type { Quote } from "../../../../src/app/deliver/consumer-book.ts"
import type { SubscriberRow } from "../../../../src/app/deliver/consumers.ts"
import { liveConsumers } from "../../../../src/app/deliver/live-consumers.ts"

const HOLDER = { cluster: "c", namespace: "n", serviceAccount: "s", pod: "p", podUid: "u", node: "w", proof: "" }
const ROW: SubscriberRow = {
  agent: "agent",
  holder: HOLDER,
  door: "agent",
  sent: 7,
  epoch: 7,
  nackReason: undefined,
  consumers: [
    { name: "envoy", kind: "sds", epoch: 7, nackReason: undefined },
    { name: "client", kind: "workload-api", epoch: 0, nackReason: undefined },
  ],
  unlisted: 1,
  lastContact: 100,
}
const QUOTE: Quote = { epoch: 6, grade: "quoted-epoch", until: 500 }

function looked(row: SubscriberRow, quote?: Quote) {
  return [...liveConsumers([row], { quoteOf: () => quote }).values()].map((consumer) => consumer.row)
}

test("everybody behind a stream has a row, also those that it could not list", () => {
  assert.deepEqual(
    looked(ROW).map(({ id, kind, grade, epoch, notAfter }) => ({ id, kind, grade, epoch, notAfter })),
    [
      { id: "c/u/agent/agent", kind: "agent", grade: "subscription-ack", epoch: 7, notAfter: 100 },
      { id: "c/u/sds/envoy", kind: "sds", grade: "sds-ack", epoch: 7, notAfter: 100 },
      { id: "c/u/workload-api/client", kind: "workload-api", grade: "lease", epoch: 0, notAfter: 100 },
      { id: "c/u/agent/agent/unlisted", kind: "sds", grade: "sds-ack", epoch: 0, notAfter: 100 },
    ],
  )
})

test("who looks again while a stream says nothing gets the same rows, and new ones once it or its holder said something", () => {
  const first = looked(ROW)
  assert.ok(looked(ROW).every((row, index) => row === first[index]))
  const epochs = (rows: readonly { readonly epoch: number }[]) => rows.map(({ epoch }) => epoch)
  assert.deepEqual(epochs(looked(ROW, QUOTE)), [7, 7, 6, 0])
  assert.deepEqual(epochs(looked(ROW)), [7, 7, 0, 0])
  assert.deepEqual(epochs(looked({ ...ROW, sent: 6 })), [7, 0, 0, 0])
})
