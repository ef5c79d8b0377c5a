import assert from "node:assert/strict"
import { test } from "node:test"
import { systemClock } from "../../../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../../../src/adapters/system/random.ts"
import { FakeClock } from "../../../support/fake-clock.ts"

test("a sleep longer than a timer can hold ends when it is aborted, and not before", async () => {
  const abort = new AbortController()
  let awake = false
  const sleeping = systemClock.sleep(2 ** 33, abort.signal).then(() => {
    awake = true
  })
  await systemClock.sleep(5, new AbortController().signal)
  assert.equal(awake, false)
  abort.abort()
  await sleeping
  await systemClock.sleep(1000, abort.signal)
})

test("random bytes have the asked length and no draw repeats another, across refills", () => {
  const random = makeSystemRandom()
  const drawn = Array.from({ length: 1000 }, () => Buffer.from(random(16)).toString("hex"))
  assert.equal(new Set(drawn).size, 1000)
  assert.deepEqual(
    [0, 1, 4096, 5000].map((bytes) => random(bytes).length),
    [0, 1, 4096, 5000],
  )
  assert.throws(() => random(-1), RangeError)
})

test("the manual clock wakes sleepers in order while time passes, and the wall clock jumps alone", async () => {
  const clock = new FakeClock(1000)
  const { signal } = new AbortController()
  const woken: number[] = []
  const sleepers = [3000, 1000].map((delay) => clock.sleep(delay, signal).then(() => woken.push(clock.now())))
  await clock.advance(2)
  assert.deepEqual(woken, [1001])
  clock.jumpWall(-500)
  await clock.advance(1)
  assert.deepEqual(woken, [1001, 503])
  await Promise.all(sleepers)
})
