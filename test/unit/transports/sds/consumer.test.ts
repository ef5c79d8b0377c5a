import assert from "node:assert/strict"
import { test } from "node:test"
import type { ConsumerReport } from "../../../../src/ports/identity-authority.ts"
import { Consumer } from "../../../../src/transports/sds/consumer.ts"

test("reports only changes, and the least epoch of all streams", () => {
  const { consumer, reports } = make()
  const [a, b] = [stream(), stream()]
  consumer.update(a, { epoch: 3, nackReason: undefined }, false)
  consumer.update(a, { epoch: 3, nackReason: undefined }, false)
  consumer.update(b, { epoch: 2, nackReason: undefined }, false)
  consumer.update(b, { epoch: 4, nackReason: undefined }, false)
  assert.deepEqual(
    reports.map((report) => report?.epoch),
    [3, 2, 3],
  )
})

test("reports a refusal until that stream's next answer", () => {
  const { consumer, reports } = make()
  const [a, b] = [stream(), stream()]
  consumer.update(a, { epoch: 1, nackReason: "bad key" }, false)
  consumer.update(b, { epoch: 1, nackReason: undefined }, false)
  assert.equal(reports.at(-1)?.nackReason, "bad key")
  consumer.update(a, { epoch: 1, nackReason: undefined }, false)
  assert.equal(reports.at(-1)?.nackReason, undefined)
})

test("takes its report back when the last stream that holds something leaves", () => {
  const { consumer, reports } = make()
  const [a, silent] = [stream(), stream()]
  consumer.update(silent, undefined, false)
  assert.deepEqual(reports, [])
  consumer.update(a, { epoch: 1, nackReason: undefined }, false)
  consumer.leave(a)
  assert.equal(reports.at(-1), undefined)
  assert.equal(reports.length, 2)
})

test("pumps a held stream when the last other stream's trust has settled, or that stream leaves", () => {
  for (const settle of ["confirmed", "left"] as const) {
    const { consumer } = make()
    const [held, first, second] = [stream(), stream(), stream()]
    consumer.update(first, undefined, true)
    consumer.update(second, undefined, true)
    assert.equal(consumer.mustHold(held), true)
    consumer.update(first, undefined, false)
    assert.equal(held.pumped, 0)
    if (settle === "left") consumer.leave(second)
    else consumer.update(second, undefined, false)
    assert.equal(held.pumped, 1)
    assert.equal(consumer.mustHold(held), false)
  }
})

test("forgets a held stream that leaves", () => {
  const { consumer } = make()
  const [held, trust] = [stream(), stream()]
  consumer.update(trust, undefined, true)
  assert.equal(consumer.mustHold(held), true)
  consumer.leave(held)
  consumer.update(trust, undefined, false)
  assert.equal(held.pumped, 0)
})

test("does not hold a stream for its own trust", () => {
  const { consumer } = make()
  const own = stream()
  consumer.update(own, undefined, true)
  assert.equal(consumer.mustHold(own), false)
})

function make() {
  const reports: (ConsumerReport | undefined)[] = []
  return { consumer: new Consumer("envoy", (report) => reports.push(report)), reports }
}

function stream() {
  return {
    pumped: 0,
    pump() {
      this.pumped += 1
    },
  }
}
