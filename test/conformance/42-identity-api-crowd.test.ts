import assert from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { paceChanges } from "../../src/app/deliver/paced-changes.ts"
import { drawStreamAge } from "../../src/app/deliver/stream-age.ts"
import { makeChangeSignal } from "../../src/core/change-signal.ts"

test("[IDA-16] hands a change on to 64 streams in each turn of the event loop, and none misses the newest", async () => {
  const source = makeChangeSignal()
  let newest = 0
  let upstream = 0
  const paced = paceChanges((signal) => {
    upstream++
    return source.changed(signal)
  }, 64)
  const stop = new AbortController()
  const seen = Array.from({ length: 200 }, () => 0)
  let told = 0
  const streams = seen.map(async (_, i) => {
    while (!stop.signal.aborted) {
      const changed = paced(stop.signal)
      seen[i] = newest
      told++
      await changed
    }
  })
  const change = () => {
    newest++
    source.fire()
  }
  const turn = async (): Promise<number> => {
    const before = told
    await setImmediate()
    return told - before
  }
  assert.equal(upstream, 1)
  change()
  assert.deepEqual([await turn(), await turn()], [64, 64])
  change() // while the one before is handed on
  const turns = [await turn(), await turn(), await turn(), await turn(), await turn()]
  assert.ok(
    turns.every((count) => count <= 64),
    String(turns),
  )
  assert.ok(seen.every((one) => one === 2))
  assert.equal(upstream, 3)
  stop.abort()
  await Promise.all(streams)
})

test("[IDA-16] whoever stops waiting for a change is not kept", async () => {
  const source = makeChangeSignal()
  const paced = paceChanges((signal) => source.changed(signal), 1)
  const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()]
  const heard: string[] = []
  const waits = [first, second, third].map((one, i) => paced(one.signal).then(() => heard.push(String(i))))
  second.abort()
  source.fire()
  await Promise.all(waits)
  assert.deepEqual(heard, ["1", "0", "2"])
  await paced(AbortSignal.abort())
})

test("[IDA-12] streams that began together do not end together", () => {
  const ages = Array.from({ length: 256 }, (_, drawn) => drawStreamAge(1800, () => Buffer.of(drawn)))
  assert.deepEqual([Math.min(...ages), Math.max(...ages)], [1620, 1800])
  assert.equal(new Set(ages).size, 256)
})
