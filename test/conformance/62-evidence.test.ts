import assert from "node:assert/strict"
import { test } from "node:test"
import type { ConsumerBook } from "../../src/app/deliver/consumer-book.ts"
import { keepConsumers, openConsumerBook } from "../../src/app/deliver/keep-consumers.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { measureConsumers } from "../../src/main/server/consumer-metrics.ts"
import type { ConsumerReport } from "../../src/ports/identity-authority.ts"
import { consumersList } from "../../src/transports/admin/consumer-operations.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { AgentUnderTest } from "../support/agent-under-test.ts"
import { brief, type EvidenceUnderTest, NOW, OWN, openEvidence, pod, WEB } from "../support/evidence-under-test.ts"
import { entitled } from "../support/fake-authority.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeView } from "../support/fake-view.ts"
import { IdentityPeer, provenKey } from "../support/identity-peer.ts"
import { quietLog } from "../support/quiet-log.ts"
import { runAssay } from "../support/run-assay.ts"
import { openPipelineUnderTest, openServerUnderTest } from "../support/server-under-test.ts"
import { until } from "../support/until.ts"
import { openWorkloadPeer, StreamReader, secured } from "../support/workload-peer.ts"

const WEB_0 = pod("web-0")
const envoy = (epoch: number, change: Partial<ConsumerReport> = {}): ConsumerReport => ({
  name: "envoy",
  kind: "sds",
  epoch,
  nackReason: undefined,
  ...change,
})

/** An agent of `web-0` that was sent epoch 7. */
function agent(evidence: EvidenceUnderTest, sent = 7) {
  const entry = evidence.subscribers.enter("agent", WEB_0, "agent")
  entry.sent(sent)
  return entry
}

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
  using entry = agent(evidence)
  await evidence.issue(WEB_0, 600)
  entry.acknowledged(7, undefined)
  entry.reported([envoy(7, { kind: "file", name: "files" }), envoy(0, { kind: "workload-api", name: "client" })])
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
  using entry = agent(evidence)
  await evidence.issue(WEB_0, 600)
  for (const report of [envoy(7), envoy(6), envoy(6, { nackReason: "no roots" })]) {
    entry.reported([report])
    const row = (await evidence.rows()).find(({ kind }) => kind === "sds")
    assert.deepEqual([row?.grade, row?.epoch, row?.nackReason], ["sds-ack", report.epoch, report.nackReason])
  }
})

test("[EVD-02] an epoch that was not sent on the stream does not count, from the agent or from behind it", async () => {
  const evidence = await openEvidence()
  using entry = agent(evidence)
  entry.acknowledged(8, undefined)
  entry.reported([envoy(8)])
  assert.deepEqual(
    (await evidence.rows()).map(({ epoch }) => epoch),
    [0, 0],
  )
})

test("[EVD-03] who left is waited for until what it had by then expires, though its holder goes on and gets more", async () => {
  const evidence = await openEvidence()
  using entry = agent(evidence)
  await evidence.issue(WEB_0, 600)
  entry.acknowledged(7, undefined)
  entry.reported([envoy(7)])
  entry.reported([])
  evidence.clock.time += 300
  await evidence.issue(WEB_0, 600)
  const gone = async () => (await evidence.rows()).filter(({ kind }) => kind === "sds").map(brief)
  assert.deepEqual(await gone(), [{ ...LEASE, kind: "sds", left: 600 }])
  entry.reported([envoy(7)])
  assert.deepEqual(
    (await gone()).map(({ grade, live }) => [grade, live]),
    [["sds-ack", true]],
  )
  entry.reported([])
  evidence.clock.time = NOW + 900
  assert.deepEqual(await gone(), [])
})

test("[EVD-03] what is given while no stream is open is waited for, until the agent is back to answer for it", async () => {
  const evidence = await openEvidence()
  agent(evidence)[Symbol.dispose]()
  await evidence.issue(WEB_0, 600)
  assert.ok((await evidence.rows()).some(({ live, notAfter }) => !live && notAfter === NOW + 600))
  using entry = agent(evidence)
  entry.acknowledged(7, undefined)
  assert.deepEqual(
    (await evidence.rows()).map(({ live, epoch }) => [live, epoch]),
    [[true, 7]],
  )
})

test("[EVD-03] a proxy that comes back while its old stream still stands is no further than the less of both", async () => {
  const evidence = await openEvidence()
  using first = agent(evidence)
  using second = agent(evidence)
  first.reported([envoy(6)])
  second.reported([envoy(7)])
  const epochs = async () => (await evidence.rows()).filter(({ kind }) => kind === "sds").map(({ epoch }) => epoch)
  assert.deepEqual(await epochs(), [6])
  first[Symbol.dispose]()
  assert.deepEqual(await epochs(), [7])
})

test("[EV-6] who holds a bundle alone is waited for while it is there, and for an hour after it left", async () => {
  const evidence = await openEvidence()
  const entry = agent(evidence)
  const [there] = await evidence.rows()
  assert.deepEqual([there?.spiffeId, there?.live], [undefined, true])
  entry[Symbol.dispose]()
  assert.deepEqual((await evidence.rows()).map(brief), [{ ...LEASE, kind: "agent", left: 3600 }])
})

test("[EVD-04] who comes on top of the bound is waited for in one row for all of them", async () => {
  const evidence = await openEvidence()
  using entry = agent(evidence)
  await evidence.issue(WEB_0, 7200)
  for (let page = 0; page < 5; page++) {
    entry.reported(Array.from({ length: 256 }, (_, n) => envoy(7, { name: `envoy-${page}-${n}` })))
  }
  const rows = await evidence.rows()
  assert.equal(rows.filter(({ live }) => !live).length, 1024 - 1 + 1)
  const beyond = rows.find(({ id }) => id === "beyond-the-bound")
  assert.deepEqual([beyond?.grade, beyond?.notAfter], ["lease", NOW + 7200])
})

test("[EVD-12] consumers that an agent did not list have acknowledged nothing, and are named as long as there are any", async () => {
  const evidence = await openEvidence()
  using entry = agent(evidence)
  await evidence.issue(WEB_0, 600)
  entry.acknowledged(7, undefined)
  entry.reported([envoy(7)], 1)
  const behind = async () => (await evidence.rows()).filter(({ epoch, live }) => live && epoch < 7)
  const [row, ...more] = await behind()
  assert.ok(row !== undefined && more.length === 0)
  assert.match(row.id, /\/agent\/unlisted /)
  assert.deepEqual([row.grade, row.epoch, row.spiffeId], ["sds-ack", 0, WEB])
  entry.reported([envoy(7)], 0)
  assert.deepEqual(await behind(), [])
})

test("[EVD-05] after a restart nobody is live or believed, and who was there is waited for until the log says it is over", async () => {
  const evidence = await openEvidence()
  const entry = agent(evidence)
  entry.acknowledged(7, undefined)
  entry.reported([envoy(7), envoy(6, { name: "refuses", nackReason: "no roots" })])
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
  agent(evidence)
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
  agent(evidence)[Symbol.dispose]()
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
    agent(evidence)[Symbol.dispose]()
    let faults = 0
    evidence.store.onWrite = () => (faults++ === 0 ? fault : "none")
    await settled(evidence)
    assert.equal(faults, 2)
    assert.deepEqual(await names(evidence), ["agent"])
    evidence.clock.time = NOW + 3600
    evidence.book.prune()
    await settled(evidence)
    assert.deepEqual(await names(evidence), [])
  }
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

test("[EVD-09] consumers are counted by kind and grade, and those that are behind or refuse beside", async () => {
  await using server = await openPipelineUnderTest()
  const { subscribers, trust } = server.pipeline
  const { epoch } = trust.snapshot()
  using entry = subscribers.enter("agent", WEB_0, "agent")
  entry.sent(epoch)
  entry.acknowledged(epoch, undefined)
  entry.reported([envoy(epoch), envoy(0, { name: "other", nackReason: "no roots" })])
  measureConsumers(server.metrics, server.pipeline)
  const text = await server.metrics.registry.metrics()
  assert.match(text, /^assay_consumer_live{kind="sds",grade="sds-ack"} 2$/m)
  assert.match(text, /^assay_consumer_live{kind="agent",grade="subscription-ack"} 1$/m)
  assert.match(text, /^assay_consumer_behind{kind="sds"} 1$/m)
  assert.match(text, /^assay_consumer_refusing{kind="sds"} 1$/m)
  entry.reported([])
  measureConsumers(server.metrics, server.pipeline)
  assert.match(await server.metrics.registry.metrics(), /^assay_consumer_gone 2$/m)
})

test("[EV-3] clients that cannot acknowledge are as far as their agent quoted with its newest renewal", async () => {
  const evidence = await openEvidence()
  using entry = agent(evidence)
  entry.acknowledged(7, undefined)
  entry.reported([envoy(0, { kind: "workload-api", name: "client" })])
  for (const [quoted, grade, epoch] of [
    [6, "quoted-epoch", 6],
    [7, "quoted-epoch", 7],
    [5, "quoted-epoch", 5],
    [0, "lease", 0],
  ] as const) {
    await evidence.issue(WEB_0, 600, {}, quoted)
    const row = (await evidence.rows()).find(({ kind }) => kind === "workload-api")
    assert.deepEqual([row?.grade, row?.epoch], [grade, epoch])
  }
})

test("[EV-3] a quote does not outlive the stream of the agent, nor what was issued with it", async () => {
  const evidence = await openEvidence()
  await evidence.issue(WEB_0, 600, {}, 7)
  assert.deepEqual(
    (await evidence.rows()).map(({ grade, epoch, live }) => [grade, epoch, live]),
    [["quoted-epoch", 7, true]],
  )
  using entry = agent(evidence)
  entry.reported([envoy(0, { kind: "workload-api", name: "client" })])
  assert.ok((await evidence.rows()).every(({ epoch }) => epoch === 0))
  const other = pod("web-1")
  await evidence.issue(other, 300, {}, 7)
  evidence.clock.time = NOW + 300
  assert.equal(evidence.book.quoteOf(other), undefined)
})

test("[EV-3] an agent quotes what it adopted, and no more than its clients that cannot acknowledge were sent", async () => {
  await using agent = new AgentUnderTest()
  const { authority, clock, source } = agent
  await agent.settle()
  const quotes = () => authority.x509Calls.map(([order]) => order?.bundleEpoch)
  authority.stream.snapshot(1, [entitled("/a")])
  await agent.settle()
  const client = { name: "client", kind: "workload-api", nackReason: undefined } as const
  source.observed("client", { ...client, epoch: 1 })
  authority.stream.snapshot(2, [entitled("/a")])
  await clock.advance(501)
  await agent.settle()
  source.observed("client", { ...client, epoch: 2 })
  await clock.advance(501)
  await agent.settle()
  assert.deepEqual(quotes(), [1, 1, 2])
  assert.ok(authority.stream.reports.flat().every(({ epoch }) => epoch === 0))
})

test("[EV-3] what has left for a client of the Workload API is known to its agent, and nothing before that", async () => {
  const source = new FakeSource({ kind: "ready", view: fakeView({ epoch: 3 }) })
  await using peer = await openWorkloadPeer(source)
  using stream = new StreamReader(peer.client.fetchX509Svid({}, secured()))
  const epochs = () => [...source.reports.values()].map(({ epoch }) => epoch)
  await stream.next()
  await until("the epoch", () => epochs()[0] === 3)
  assert.equal(source.observations[0]?.report?.epoch, 0)
  source.ready(fakeView({ epoch: 4 }))
  await until("the next epoch", () => epochs()[0] === 4)
})

test("[EV-3] the server takes a quoted epoch with the request, unless it was never published", async () => {
  await using server = await openServerUnderTest()
  using peer = new IdentityPeer(server)
  const { epoch } = server.pipeline.trust.snapshot()
  for (const [bundleEpoch, expected] of [
    [epoch, epoch],
    [epoch + 1, undefined],
  ]) {
    const token = server.setup.token()
    await peer.x509({ key: provenKey(token), bundleEpoch: bundleEpoch ?? 0 }, token)
    const holder = await server.pipeline.holderOf(token, AbortSignal.timeout(10_000))
    assert.equal(server.pipeline.consumers.quoteOf(holder)?.epoch, expected)
  }
})

test("[EVD-10] operators see every row, those that refused first, by filters that must all match", async () => {
  await using server = await openAdminUnderTest()
  const { subscribers, trust } = server.pipeline
  const { epoch } = trust.snapshot()
  using entry = subscribers.enter("agent", WEB_0, "agent")
  using other = subscribers.enter("other", pod("web-1"), "agent")
  entry.sent(epoch)
  entry.acknowledged(epoch, undefined)
  entry.reported([envoy(epoch), envoy(0, { name: "refuses", nackReason: "no roots" })])
  other.reported([])
  const ask = async (input: Record<string, string>) =>
    consumersList.response.parse(await server.client.call({ method: "GET", path: "/consumers", input }, ALWAYS))
  const all = await ask({})
  assert.equal(all.total, 4)
  assert.deepEqual([all.consumers[0]?.nack_reason, all.consumers[0]?.grade], ["no roots", "sds-ack"])
  assert.equal((await ask({ kind: "sds", pod: "web-0" })).total, 2)
  assert.equal((await ask({ kind: "sds", pod: "web-1" })).total, 0)
  assert.equal((await ask({ behind: String(epoch) })).total, 2)
  const first = await ask({ limit: "1" })
  assert.deepEqual([first.consumers.length, first.total], [1, 4])
  await assert.rejects(ask({ limit: "1001" }), { code: "malformed" })
  const table = await runAssay([
    "consumers",
    "list",
    "--admin-socket",
    server.admin.socket,
    "--kind",
    "sds",
    "--limit",
    "1",
  ])
  assert.equal(table.code, 0, table.err)
  assert.match(
    table.out,
    /^IDENTITY +POD +KIND +EPOCH +GRADE +HOLDS UNTIL +REFUSED\n.* web-0 +sds +0 +sds-ack .* no roots\n\(1 more\)/,
  )
})

test("[EVD-11] whoever waits for evidence wakes at each change of it", async () => {
  const evidence = await openEvidence()
  const { subscribers } = evidence
  const entry = agent(evidence)
  const changes: readonly (() => void)[] = [
    () => entry.acknowledged(7, undefined),
    () => entry.acknowledged(7, "no roots"),
    () => entry.reported([envoy(7)]),
    () => entry[Symbol.dispose](),
  ]
  for (const change of changes) {
    const woken = subscribers.changed(ALWAYS).then(() => "woken")
    change()
    assert.equal(await woken, "woken")
  }
})

const ALWAYS = new AbortController().signal
const LEASE = { grade: "lease", live: false, epoch: 0, nackReason: undefined }

/** Let the keeper write until nothing is left to write. */
async function settled({ book, store }: EvidenceUnderTest): Promise<void> {
  const clock = new FakeClock(NOW)
  const stop = new AbortController()
  const kept = keepConsumers(book, { clock, log: quietLog, consumers: store.consumerLog }, stop.signal)
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
