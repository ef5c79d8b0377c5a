import assert from "node:assert/strict"
import { test } from "node:test"
import { watchReadiness } from "../../../../src/main/server/readiness.ts"
import { FakeClock } from "../../../support/fake-clock.ts"

test("ready while every condition holds, and watchers hear of a change within a second", async () => {
  const clock = new FakeClock(0)
  const holds = { store: true, clock: true }
  const readiness = watchReadiness([() => holds.store, () => holds.clock], clock)
  const stop = new AbortController()
  const running = readiness.run(stop.signal)
  assert.equal(readiness.ready(), true)
  let heard = 0
  const listen = () => readiness.changed(stop.signal).then(() => heard++)
  for (const [name, value] of [
    ["clock", false],
    ["store", false],
    ["clock", true],
    ["store", true],
  ] as const) {
    void listen()
    holds[name] = value
    assert.equal(readiness.ready(), holds.store && holds.clock)
    await clock.untilSleeping(1)
    await clock.advance(1)
  }
  assert.equal(heard >= 2, true)
  stop.abort()
  await running
})
