import assert from "node:assert/strict"
import { test } from "node:test"
import { IdentityError } from "../../../../src/core/errors.ts"
import { watchReadiness } from "../../../../src/main/server/readiness.ts"
import { FakeClock } from "../../../support/fake-clock.ts"

test("ready while nothing hinders, and watchers and the log hear of a change within a second, once", async () => {
  const clock = new FakeClock(0)
  const holds = { store: true, clock: true }
  const told: (string | undefined)[] = []
  const hindrance = (name: "store" | "clock") => () =>
    holds[name] ? undefined : new IdentityError("not-ready", name, { reason: name })
  const readiness = watchReadiness([hindrance("store"), hindrance("clock")], clock, (why) => told.push(why?.reason))
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
  assert.deepEqual(told, ["clock", undefined])
  stop.abort()
  await running
})
