import assert from "node:assert/strict"
import { test } from "node:test"
import type { BanListener } from "../../src/app/ban/ban-view.ts"
import { LiveStreams } from "../../src/app/ban/live-streams.ts"
import { type BanKind, parseBanTarget, type RecordedBan } from "../../src/core/ban/ban.ts"
import type { BanSubject } from "../../src/core/ban/ban-index.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { until } from "../support/until.ts"

test("[BAN-11] looks at each stream once when many bans end together, and wakes those that they named alone", () => {
  const { change, streams, looked, woken } = makeStreams()
  const over = Array.from({ length: 100 }, (_, i) => ({
    sequence: i + 1,
    ban: { target: parseBanTarget("identity", id(i + 48)), reason: "", actor: "", createdAt: 1, until: 1000 },
    liftedAt: undefined,
  }))
  change(over)
  assert.deepEqual([looked(), woken, streams.propagated], [50, [48, 49], []])
})

test("[BAN-05] looks at each stream once when many bans are added together, wakes each that they name once, and says of each ban how many", async () => {
  const { change, streams, looked, woken } = makeStreams()
  change([...Array.from({ length: 100 }, (_, i) => ban(i + 1, "identity", id(i + 48))), ban(101, "pod", "uid-49")])
  assert.deepEqual([looked(), woken], [50, [48, 49]])
  const waited = [1, 2, 101].map((sequence) => streams.live.late(ban(sequence, "pod", "any")))
  streams.settle(49)
  await until("the last of them to be waited for", () => streams.clock.sleeping === 1)
  await streams.clock.advance(1)
  assert.deepEqual(await Promise.all(waited), [1, 0, 0])
  streams.settle(48)
  assert.deepEqual(
    streams.propagated.toSorted((a, b) => a[0] - b[0]),
    Array.from({ length: 101 }, (_, i) => [i + 1, i < 2 || i === 100 ? 1 : 0]),
  )
})

/** Fifty streams, of one pod each. */
function makeStreams() {
  const clock = new FakeClock(1000)
  const listeners: BanListener[] = []
  const propagated: (readonly [number, number])[] = []
  const live = new LiveStreams(
    { onChange: (listener) => void listeners.push(listener) },
    {
      clock,
      events: { propagated: ({ sequence }, count) => void propagated.push([sequence, count]) },
      keyHolders: { bansOf: () => [], learn: () => Promise.resolve() },
    },
  )
  let looked = 0
  const woken: number[] = []
  const entries = Array.from({ length: 50 }, (_, i) => {
    const subject = (): BanSubject => {
      looked++
      const place = { cluster: "main", namespace: "shop", podUid: `uid-${i}`, node: "node-1" }
      return { ids: [parseSpiffeId(id(i))], places: [place], keys: [] }
    }
    return live.enter(subject, () => void woken.push(i))
  })
  const streams = { live, clock, propagated, settle: (i: number) => entries[i]?.settled() }
  const change = (changed: Parameters<BanListener>[0]) => {
    for (const listener of listeners) listener(changed, clock.monotonic())
  }
  return { change, streams, woken, looked: () => looked }
}

function ban(sequence: number, kind: BanKind, name: string): RecordedBan {
  const target = parseBanTarget(kind, name)
  return { sequence, ban: { target, reason: "", actor: "", createdAt: 1, until: undefined }, liftedAt: undefined }
}

function id(i: number): string {
  return `spiffe://prod.example/ns/shop/sa/a${i}`
}
