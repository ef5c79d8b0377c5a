import assert from "node:assert/strict"
import { test } from "node:test"
import { AgentUnderTest } from "../support/agent-under-test.ts"
import { enterAgent, envoyReport, NOW, openEvidence, pod, WEB_0 } from "../support/evidence-under-test.ts"
import { entitled } from "../support/fake-authority.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeView } from "../support/fake-view.ts"
import { IdentityPeer, provenKey } from "../support/identity-peer.ts"
import { openServerUnderTest } from "../support/server-under-test.ts"
import { until } from "../support/until.ts"
import { openWorkloadPeer, StreamReader, secured } from "../support/workload-peer.ts"

test("[EV-3] clients that cannot acknowledge are as far as their agent quoted with its newest renewal", async () => {
  const evidence = await openEvidence()
  using entry = enterAgent(evidence)
  entry.acknowledged(7, undefined)
  entry.reported([envoyReport(0, { kind: "workload-api", name: "client" })])
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
  using entry = enterAgent(evidence)
  entry.reported([envoyReport(0, { kind: "workload-api", name: "client" })])
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
