import assert from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { shareChanges } from "../../src/app/deliver/share-changes.ts"
import { drawStreamAge } from "../../src/app/deliver/stream-age.ts"
import { makeChangeSignal } from "../../src/core/change-signal.ts"

test("[IDA-12] streams that began together do not end together", () => {
  const ages = Array.from({ length: 256 }, (_, drawn) => drawStreamAge(1800, () => Buffer.of(drawn)))
  assert.deepEqual([Math.min(...ages), Math.max(...ages)], [1620, 1800])
  assert.equal(new Set(ages).size, 256)
})

test("[IDA-10] a change is waited for once for all streams, and none of them misses the newest", async () => {
  const source = makeChangeSignal()
  let [newest, upstream] = [0, 0]
  const shared = shareChanges((signal) => {
    upstream++
    return source.changed(signal).then(() => undefined) // some steps late, as one of several changes is
  })
  const stop = new AbortController()
  const seen = Array.from({ length: 200 }, () => 0)
  const streams = seen.map(async (_, i) => {
    while (!stop.signal.aborted) {
      const changed = shared(stop.signal)
      seen[i] = newest
      await changed
    }
  })
  assert.equal(upstream, 1)
  for (const changes of [1, 2, 3]) {
    for (let change = 0; change < changes; change++) {
      newest++
      source.fire()
      await Promise.resolve()
    }
    await setImmediate()
    assert.ok(seen.every((one) => one === newest))
  }
  assert.ok(upstream <= 7, "once for each change")
  stop.abort()
  await Promise.all(streams)
})

test("[IDA-10] whoever stops waiting for a change is not kept, and keeps nobody from it", async () => {
  const source = makeChangeSignal()
  const shared = shareChanges((signal) => source.changed(signal))
  const [first, second] = [new AbortController(), new AbortController()]
  const heard: string[] = []
  const waits = [first, second].map((one, i) => shared(one.signal).then(() => heard.push(String(i))))
  first.abort()
  await waits[0]
  assert.deepEqual(heard, ["0"])
  source.fire()
  await Promise.all(waits)
  await shared(AbortSignal.abort())
})
