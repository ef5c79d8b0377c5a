import assert from "node:assert/strict"
import { test } from "node:test"
import type { BanListener } from "../../src/app/ban/ban-view.ts"
import { LiveStreams } from "../../src/app/ban/live-streams.ts"
import { parseBanTarget } from "../../src/core/ban/ban.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { FakeClock } from "../support/fake-clock.ts"

test("[BAN-11] looks at each stream once when many bans end together, and wakes those that they named alone", () => {
  const clock = new FakeClock(1000)
  const listeners: BanListener[] = []
  const keyHolders = { bansOf: () => [], learn: () => Promise.resolve() }
  const bans = { onChange: (listener: BanListener) => void listeners.push(listener) }
  const streams = new LiveStreams(bans, {
    clock,
    events: { propagated: () => assert.fail("nothing spreads") },
    keyHolders,
  })
  const id = (i: number) => `spiffe://prod.example/ns/shop/sa/a${i}`
  let looked = 0
  const woken: number[] = []
  for (let i = 0; i < 50; i++) {
    const subject = () => {
      looked++
      return { ids: [parseSpiffeId(id(i))], places: [], keys: [] }
    }
    streams.enter(subject, () => void woken.push(i))
  }
  const over = Array.from({ length: 100 }, (_, i) => ({
    sequence: i + 1,
    ban: { target: parseBanTarget("identity", id(i + 48)), reason: "", actor: "", createdAt: 1, until: 1000 },
    liftedAt: undefined,
  }))
  for (const listener of listeners) listener(over, clock.monotonic())
  assert.deepEqual([looked, woken], [50, [48, 49]])
})
