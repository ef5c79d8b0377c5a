import assert from "node:assert/strict"
import { test } from "node:test"
import { IdentityError } from "../../src/core/errors.ts"
import {
  brief,
  enterAgent,
  envoyReport,
  LEASE,
  NOW,
  OWN,
  openEvidence,
  pod,
  WEB,
  WEB_0,
} from "../support/evidence-under-test.ts"

test("[EVD-01][EV-6] who was given an SVID and never opened a stream has a row, and is waited for until it expires", async () => {
  const evidence = await openEvidence()
  await evidence.issue(WEB_0, 600)
  const [row, ...more] = await evidence.rows()
  assert.ok(row !== undefined && more.length === 0)
  assert.deepEqual(brief(row), { ...LEASE, kind: "agent", left: 600 })
  assert.deepEqual(row.issuers, ["root-1"])
  evidence.clock.time = NOW + 600
  assert.deepEqual(await evidence.rows(), [])
})

test("[EV-2] an agent's acknowledgement stands for the agent and its files, and not for clients of the Workload API", async () => {
  const evidence = await openEvidence()
  using entry = enterAgent(evidence)
  await evidence.issue(WEB_0, 600)
  entry.acknowledged(7, undefined)
  entry.reported([
    envoyReport(7, { kind: "file", name: "files" }),
    envoyReport(0, { kind: "workload-api", name: "client" }),
  ])
  const rows = (await evidence.rows()).map(brief)
  const acked = { grade: "subscription-ack", live: true, epoch: 7, nackReason: undefined, left: 600 }
  assert.deepEqual(rows, [
    { ...acked, kind: "agent" },
    { ...acked, kind: "file" },
    { ...LEASE, kind: "workload-api", live: true, left: 600 },
  ])
})

test("[EV-1] a proxy's acknowledgement is its own, and so is its refusal; neither is a maximum", async () => {
  const evidence = await openEvidence()
  using entry = enterAgent(evidence)
  await evidence.issue(WEB_0, 600)
  for (const report of [envoyReport(7), envoyReport(6), envoyReport(6, { nackReason: "no roots" })]) {
    entry.reported([report])
    const row = (await evidence.rows()).find(({ kind }) => kind === "sds")
    assert.deepEqual([row?.grade, row?.epoch, row?.nackReason], ["sds-ack", report.epoch, report.nackReason])
  }
})

test("[EVD-02] an epoch that was not sent on the stream does not count, from the agent or from behind it", async () => {
  const evidence = await openEvidence()
  using entry = enterAgent(evidence)
  entry.acknowledged(8, undefined)
  entry.reported([envoyReport(8)])
  assert.deepEqual(
    (await evidence.rows()).map(({ epoch }) => epoch),
    [0, 0],
  )
})

test("[EVD-03] who left is waited for until what it had by then expires, though its holder goes on and gets more", async () => {
  const evidence = await openEvidence()
  using entry = enterAgent(evidence)
  await evidence.issue(WEB_0, 600)
  entry.acknowledged(7, undefined)
  entry.reported([envoyReport(7)])
  entry.reported([])
  evidence.clock.time += 300
  await evidence.issue(WEB_0, 600)
  const gone = async () => (await evidence.rows()).filter(({ kind }) => kind === "sds").map(brief)
  assert.deepEqual(await gone(), [{ ...LEASE, kind: "sds", left: 600 }])
  entry.reported([envoyReport(7)])
  assert.deepEqual(
    (await gone()).map(({ grade, live }) => [grade, live]),
    [["sds-ack", true]],
  )
  entry.reported([])
  evidence.clock.time = NOW + 900
  assert.deepEqual(await gone(), [])
})

test("[EVD-03] who left is waited for until what it had has expired by every clock, whether it is looked after meanwhile or not", async () => {
  const evidence = await openEvidence({ skew: 60 })
  const entry = enterAgent(evidence)
  await evidence.issue(WEB_0, 600)
  entry.reported([envoyReport(7)])
  entry[Symbol.dispose]()
  for (const [time, kinds] of [
    [599, ["agent", "sds"]],
    [659, ["agent", "sds"]],
    [660, []],
  ] as const) {
    evidence.clock.time = NOW + time
    evidence.book.prune()
    const rows = (await evidence.rows()).map(({ kind }) => kind)
    assert.deepEqual(rows.sort(), kinds, `${time}`)
  }
})

test("[EVD-03] what was on its way on a stream when that ended does not bring back who left", async () => {
  const evidence = await openEvidence()
  const entry = enterAgent(evidence)
  await evidence.issue(WEB_0, 600)
  entry.reported([envoyReport(7)])
  entry[Symbol.dispose]()
  entry.reported([envoyReport(7)])
  entry.acknowledged(7, "too late")
  const rows = (await evidence.rows()).map(brief)
  assert.deepEqual(
    rows.toSorted((a, b) => (a.kind < b.kind ? -1 : 1)),
    [
      { ...LEASE, kind: "agent", left: 600 },
      { ...LEASE, kind: "sds", left: 600 },
    ],
  )
})

test("[EVD-03] what is given while no stream is open is waited for, until the agent is back to answer for it", async () => {
  const evidence = await openEvidence()
  enterAgent(evidence)[Symbol.dispose]()
  await evidence.issue(WEB_0, 600)
  assert.ok((await evidence.rows()).some(({ live, notAfter }) => !live && notAfter === NOW + 600))
  using entry = enterAgent(evidence)
  entry.acknowledged(7, undefined)
  assert.deepEqual(
    (await evidence.rows()).map(({ live, epoch }) => [live, epoch]),
    [[true, 7]],
  )
})

test("[EVD-03] a proxy that comes back while its old stream still stands is no further than the less of both", async () => {
  const evidence = await openEvidence()
  using first = enterAgent(evidence)
  using second = enterAgent(evidence)
  first.reported([envoyReport(6)])
  second.reported([envoyReport(7)])
  const epochs = async () => (await evidence.rows()).filter(({ kind }) => kind === "sds").map(({ epoch }) => epoch)
  assert.deepEqual(await epochs(), [6])
  first[Symbol.dispose]()
  assert.deepEqual(await epochs(), [7])
})

test("[EV-6] who holds a bundle alone is waited for while it is there, and for an hour after it left", async () => {
  const evidence = await openEvidence()
  const entry = enterAgent(evidence)
  const [there] = await evidence.rows()
  assert.deepEqual([there?.spiffeId, there?.live], [undefined, true])
  entry[Symbol.dispose]()
  assert.deepEqual((await evidence.rows()).map(brief), [{ ...LEASE, kind: "agent", left: 3600 }])
})

test("[EVD-04] who comes on top of the bound is waited for in one row for all of them", async () => {
  const evidence = await openEvidence()
  using entry = enterAgent(evidence)
  await evidence.issue(WEB_0, 7200)
  for (let page = 0; page < 5; page++) {
    entry.reported(Array.from({ length: 256 }, (_, n) => envoyReport(7, { name: `envoy-${page}-${n}` })))
  }
  const rows = await evidence.rows()
  assert.equal(rows.filter(({ live }) => !live).length, 1024 - 1 + 1)
  const beyond = rows.find(({ id }) => id === "beyond-the-bound")
  assert.deepEqual([beyond?.grade, beyond?.notAfter], ["lease", NOW + 7200])
})

test("[EVD-12] consumers that an agent did not list have acknowledged nothing, and are named as long as there are any", async () => {
  const evidence = await openEvidence()
  using entry = enterAgent(evidence)
  await evidence.issue(WEB_0, 600)
  entry.acknowledged(7, undefined)
  entry.reported([envoyReport(7)], 1)
  const behind = async () => (await evidence.rows()).filter(({ epoch, live }) => live && epoch < 7)
  const [row, ...more] = await behind()
  assert.ok(row !== undefined && more.length === 0)
  assert.match(row.id, /\/agent\/unlisted /)
  assert.deepEqual([row.grade, row.epoch, row.spiffeId], ["sds-ack", 0, WEB])
  entry.reported([envoyReport(7)], 0)
  assert.deepEqual(await behind(), [])
})

test("[EVD-07] each root and each JWT key has the last expiry of what it signed; the server's own certificate does not count", async () => {
  const evidence = await openEvidence()
  await evidence.issue(WEB_0, 600)
  await evidence.issue(pod("web-1"), 300)
  await evidence.issue({ ...WEB_0, podUid: "", cluster: "" }, 9000, { spiffeId: OWN })
  await evidence.issue(WEB_0, 90, { kind: "jwt", authorityId: "kid-1" })
  const { lastExpiry } = await evidence.read()
  assert.deepEqual(Object.fromEntries(lastExpiry), { "root-1": NOW + 600, "kid-1": NOW + 90 })
})

test("[EVD-08] nothing is said when the log cannot be read", async () => {
  const evidence = await openEvidence()
  evidence.store.holdings.readHoldings = async () => {
    throw new IdentityError("not-ready", "store is closed")
  }
  await assert.rejects(evidence.read(), { code: "not-ready" })
})

test("[EVD-11] whoever waits for evidence wakes at each change of it", async () => {
  const evidence = await openEvidence()
  const { subscribers } = evidence
  const entry = enterAgent(evidence)
  const changes: readonly (() => void)[] = [
    () => entry.acknowledged(7, undefined),
    () => entry.acknowledged(7, "no roots"),
    () => entry.reported([envoyReport(7)]),
    () => entry[Symbol.dispose](),
  ]
  for (const change of changes) {
    const woken = subscribers.changed(ALWAYS).then(() => "woken")
    change()
    assert.equal(await woken, "woken")
  }
})

const ALWAYS = new AbortController().signal

for (const which of [1, 2]) {
  test(`[EVD-16] a thousand holders are looked at in a turn, and whoever opens or ends a stream in number ${which} is waited for`, async () => {
    let change = (): void => {}
    let turns = 0
    const evidence = await openEvidence({
      turn: async () => {
        turns++
        if (turns === which) change()
      },
    })
    for (let i = 1000; i >= 0; i--) await evidence.issue(pod(`web-${i}`), 600)
    const rows = async () => {
      turns = 0
      return (await evidence.rows()).filter((row) => row.pod === WEB_0.pod).map(brief)
    }
    const silent = { ...LEASE, kind: "agent", left: 600 }
    assert.deepEqual([await rows(), turns], [[silent], 2])
    let stream: Disposable | undefined
    change = () => {
      stream = enterAgent(evidence)
    }
    assert.ok((await rows()).length > 0)
    change = () => stream?.[Symbol.dispose]()
    assert.deepEqual(await rows(), [silent])
  })
}
