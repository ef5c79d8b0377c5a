import assert from "node:assert/strict"
import { test } from "node:test"
import { type ConsumerBook, MAX_SKEW } from "../../src/app/deliver/consumer-book.ts"
import { keepConsumers, openConsumerBook } from "../../src/app/deliver/keep-consumers.ts"
import type { ConsumerLog } from "../../src/ports/consumers.ts"
import type { Log } from "../../src/ports/telemetry.ts"
import {
  type EvidenceUnderTest,
  enterAgent,
  envoyReport,
  NOW,
  openEvidence,
  pod,
  WEB_0,
} from "../support/evidence-under-test.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { quietLog } from "../support/quiet-log.ts"
import { until } from "../support/until.ts"

test("[EVD-05] after a restart nobody is live or believed, and who was there is waited for until the log says it is over", async () => {
  const evidence = await openEvidence()
  const entry = enterAgent(evidence)
  entry.acknowledged(7, undefined)
  entry.reported([envoyReport(7), envoyReport(6, { name: "refuses", nackReason: "no roots" })])
  await settled(evidence)
  await evidence.issue(WEB_0, 600)
  const next = await reopened(evidence)
  const gone = next.gone.map(({ name, notAfter, nackReason }) => [name, { left: notAfter - NOW, nackReason }])
  assert.deepEqual(Object.fromEntries(gone), {
    agent: { left: 600, nackReason: undefined },
    envoy: { left: 600, nackReason: undefined },
    refuses: { left: 600, nackReason: "no roots" },
  })
})

test("[EVD-05][EV-6] after an outage longer than its life, who held a certificate is not waited for, and who held none is for an hour", async () => {
  const evidence = await openEvidence()
  enterAgent(evidence)
  await evidence.issue(WEB_0, 600)
  evidence.subscribers.enter("verifier", pod("web-1"), "agent")
  await settled(evidence)
  evidence.clock.time = NOW + 601
  const next = await reopened(evidence)
  assert.deepEqual(
    next.gone.map(({ name, notAfter }) => [name, notAfter]),
    [["verifier", NOW + 601 + 3600]],
  )
})

test("[EVD-05] what was given after the agent had left is waited for after a restart as well", async () => {
  const evidence = await openEvidence()
  await evidence.issue(WEB_0, 300)
  enterAgent(evidence)[Symbol.dispose]()
  await settled(evidence)
  assert.equal((await reopened(evidence)).unfollowedUntil(WEB_0), 0)
  await evidence.issue(WEB_0, 600)
  const next = await reopened(evidence)
  assert.equal(next.unfollowedUntil(WEB_0), NOW + 600)
  assert.deepEqual(
    next.gone.map(({ notAfter }) => notAfter),
    [NOW + 300],
  )
})

test("[EVD-06] a write whose outcome is unknown is done again, and what has expired is forgotten", async () => {
  for (const fault of ["lost", "kept"] as const) {
    const evidence = await openEvidence()
    enterAgent(evidence)[Symbol.dispose]()
    let faults = 0
    evidence.store.onWrite = () => (faults++ === 0 ? fault : "none")
    await settled(evidence)
    assert.equal(faults, 2)
    assert.deepEqual(await names(evidence), ["agent"])
    evidence.clock.time = NOW + 3600 + MAX_SKEW
    evidence.book.prune()
    await settled(evidence)
    assert.deepEqual(await names(evidence), [])
  }
})

test("[EVD-06] that consumers cannot be written down is said once for as long as it lasts", async () => {
  const evidence = await openEvidence()
  let faults = 0
  evidence.store.onWrite = () => (faults++ < 3 ? "lost" : "none")
  const lines: string[] = []
  const log = { ...quietLog, warn: (_: unknown, message: string) => void lines.push(message) }
  enterAgent(evidence)[Symbol.dispose]()
  await settled(evidence, log)
  assert.equal(faults > 3, true)
  assert.deepEqual(lines, ["consumers cannot be written down; trying again"])
})

test("[EVD-17] what has expired is forgotten a part at a time, all of it, and nothing else, while others come", async () => {
  const { book, clock, store } = await openEvidence()
  for (let i = 0; i < 4000; i++) {
    book.arrived(pod(`gone-${i}`), "agent", "")
    book.left(pod(`gone-${i}`), "agent", "")
    if (i % 2 === 0) book.arrived(pod(`here-${i}`), "agent", "")
  }
  await writeAll(book)
  clock.time = NOW + 3600 + MAX_SKEW
  const removed: number[] = []
  const log: ConsumerLog = {
    readAfter: (id, limit) => store.consumerLog.readAfter(id, limit),
    write: async (_, ids) => void removed.push(ids.length),
  }
  const ticks = new FakeClock(NOW)
  const stop = new AbortController()
  const kept = keepConsumers(book, { clock: ticks, log: quietLog, consumers: log }, stop.signal)
  const perTurn: number[] = []
  for (let turn = 0; turn < 8; turn++) {
    await ticks.untilSleeping(1)
    book.arrived(pod(`new-${turn}`), "agent", "")
    await ticks.advance(1)
    await ticks.untilSleeping(1)
    perTurn.push(removed.splice(0).reduce((sum, count) => sum + count, 0))
  }
  stop.abort()
  await kept
  assert.ok(Math.max(...perTurn) <= 2500, String(perTurn))
  assert.equal(
    perTurn.reduce((sum, count) => sum + count, 0),
    4000,
  )
  assert.deepEqual(book.gone, [])
})

/** As if all of it was written down. */
async function writeAll(book: ConsumerBook): Promise<void> {
  while (book.takeChanges() !== undefined);
}

/** Let the keeper write until nothing is left to write. */
async function settled({ book, store }: EvidenceUnderTest, log: Log = quietLog): Promise<void> {
  const clock = new FakeClock(NOW)
  const stop = new AbortController()
  const kept = keepConsumers(book, { clock, log, consumers: store.consumerLog }, stop.signal)
  await until("all is written", () => {
    void clock.advance(1000)
    const rest = book.takeChanges()
    book.unwritten(rest?.records.map(({ id }) => id) ?? [])
    book.unwritten(rest?.removed ?? [])
    return rest === undefined
  })
  stop.abort()
  await kept
}

function reopened({ store, clock }: EvidenceUnderTest): Promise<ConsumerBook> {
  return openConsumerBook({ clock, consumers: store.consumerLog, holdings: store.holdings })
}

async function names({ store }: EvidenceUnderTest): Promise<readonly string[]> {
  return (await store.consumerLog.readAfter("", 10)).map(({ name }) => name)
}
