import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { digestRequest, type Proposal, standingOf } from "../../src/core/admin/proposal.ts"
import type { AuditEvent } from "../../src/core/audit/event.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { STORES } from "../support/stores.ts"

const NOW = 1_800_000_000

for (const { name, open } of STORES) {
  describe(`proposal log: ${name}`, () => {
    test("[ADM-21] gives back what waits and what was decided, newest first, of every kind of caller", async () => {
      await using store = await open()
      const id = parseSpiffeId("spiffe://prod.example/ops/alice")
      const first = proposalOf(1, { proposer: { kind: "peer", uid: 7, gid: 8, pid: 9 } })
      const second = proposalOf(2, { proposer: { kind: "spiffe", id, proof: "external-token" } })
      for (const proposal of [first, second]) await store.proposalLog.add(proposal, AUDIT)
      await store.proposalLog.decide(first.id, REJECTED, AUDIT)
      assert.deepEqual(await store.proposalLog.list(), [
        { proposal: second, decision: undefined, ...UNDONE },
        { proposal: first, decision: REJECTED, ...UNDONE },
      ])
    })

    test("[ADM-23] decides once, before the end, and never what it does not know", async () => {
      await using store = await open()
      const { proposalLog } = store
      const [one, other] = [proposalOf(1), proposalOf(2)]
      for (const proposal of [one, other]) await proposalLog.add(proposal, AUDIT)
      await assert.rejects(proposalLog.add(one, AUDIT), { code: "already-exists" })
      const approve = (id: string, at: number) => proposalLog.decide(id, { ...APPROVED, at }, AUDIT)
      const both = await Promise.allSettled([approve(one.id, NOW + 1), approve(one.id, NOW + 1)])
      assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"])
      const decided = { code: "conflict", reason: "proposal-decided" }
      await assert.rejects(approve(one.id, NOW + 2), decided)
      await assert.rejects(approve(other.id, other.expiresAt), decided)
      await assert.rejects(approve("ff".repeat(8), NOW), decided)
    })

    test("[ADM-28] what was approved can be taken up again until it is settled, is too old, or anything of it was begun", async () => {
      await using store = await open()
      const { proposalLog, auditLog } = store
      const [one, other, waiting] = [proposalOf(1), proposalOf(2), proposalOf(3)]
      for (const proposal of [one, other, waiting]) await proposalLog.add(proposal, AUDIT)
      const decided = { code: "conflict", reason: "proposal-decided" }
      await assert.rejects(proposalLog.resume(waiting.id, NOW, AUDIT), decided)
      await assert.rejects(proposalLog.settle(waiting.id, DONE, AUDIT), decided)
      await proposalLog.decide(one.id, APPROVED, AUDIT)
      await proposalLog.decide(other.id, { ...APPROVED, requestId: "other" }, AUDIT)
      await proposalLog.resume(one.id, NOW + 2, AUDIT)
      await assert.rejects(proposalLog.resume(one.id, one.expiresAt, AUDIT), decided)
      await auditLog.append({ ...AUDIT, requestId: "other" })
      await proposalLog.resume(other.id, NOW + 2, AUDIT)
      for (const trace of TRACES) {
        const proposal = proposalOf(10 + TRACES.indexOf(trace))
        await proposalLog.add(proposal, AUDIT)
        await proposalLog.decide(proposal.id, { ...APPROVED, requestId: trace.type }, AUDIT)
        await proposalLog.resume(proposal.id, NOW + 2, AUDIT)
        await auditLog.append({ ...trace, requestId: trace.type })
        const begun = { code: "conflict", reason: "proposal-begun" }
        await assert.rejects(proposalLog.resume(proposal.id, NOW + 2, AUDIT), begun)
      }
      await proposalLog.settle(one.id, DONE, AUDIT)
      await assert.rejects(proposalLog.settle(one.id, DONE, AUDIT), decided)
      await assert.rejects(proposalLog.resume(one.id, NOW + 2, AUDIT), decided)
      const failed = { outcome: "failed", at: NOW + 3, reason: "told" } as const
      await proposalLog.settle(proposalOf(10).id, failed, AUDIT)
      const all = await proposalLog.list()
      const said = all.map(({ proposal: { id }, execution, begun }) => [Number.parseInt(id, 16), execution, begun])
      assert.deepEqual(said, [
        [12, undefined, true],
        [11, undefined, true],
        [10, failed, false],
        [3, undefined, false],
        [2, undefined, false],
        [1, DONE, false],
      ])
      const standings = all.map((recorded) => standingOf(recorded, NOW + 4))
      assert.deepEqual(standings, ["unknown", "unknown", "failed", "waiting", "approved", "done"])
    })

    test("[ADM-24] holds 64 that wait, makes room when one ends, and remembers a thousand that ended", async () => {
      await using store = await open()
      const { proposalLog } = store
      for (let n = 0; n < 64; n++) await proposalLog.add(proposalOf(n), AUDIT)
      const full = { code: "rate-limited", reason: "proposals-full" }
      await assert.rejects(proposalLog.add(proposalOf(64), AUDIT), full)
      await proposalLog.decide(proposalOf(0).id, { ...REJECTED, outcome: "stale", at: NOW }, AUDIT)
      await proposalLog.add(proposalOf(64), AUDIT)
      await assert.rejects(proposalLog.add(proposalOf(65), AUDIT), full)
      const later = (n: number) => proposalOf(n, { createdAt: NOW + n * 1000, expiresAt: NOW + n * 1000 + 1 })
      for (let n = 100; n < 1110; n++) await proposalLog.add(later(n), AUDIT)
      const all = await proposalLog.list()
      assert.equal(all.length, 1001)
      assert.equal(all[0]?.proposal.id, later(1109).id)
    })
  })
}

function proposalOf(n: number, fields: Partial<Proposal> = {}): Proposal {
  const [operation, request] = ["rotation.start", `{"auto":${n % 2 === 0}}`]
  return {
    id: n.toString(16).padStart(16, "0"),
    operation,
    request,
    digest: digestRequest(operation, request),
    target: "the trust domain",
    proposer: { kind: "peer", uid: 1, gid: 1, pid: 1 },
    role: "ops",
    over: "stable",
    createdAt: NOW,
    expiresAt: NOW + 3600,
    ...fields,
  }
}

const APPROVED = { outcome: "approved", by: "bob", at: NOW + 1, requestId: "approval" } as const
const REJECTED = { outcome: "rejected", by: "bob", at: NOW + 1, requestId: "rejection" } as const
const UNDONE = { execution: undefined, begun: false }
const DONE = { outcome: "done", at: NOW + 2, reason: "" } as const
const COMMON = { at: NOW, actor: "alice", requestId: "" }
const BAN = { ...COMMON, ban: "identity", name: "spiffe://prod.example/a", reason: "r" } as const
const CHANGE = {
  kind: "x509",
  rotation: "r",
  change: "started",
  from: "stable",
  to: "planned",
  old: "a",
  next: "",
} as const
const TRACES: readonly AuditEvent[] = [
  { type: "rotation.changed", ...COMMON, ...CHANGE, epoch: 1, reason: "", waived: [], waivedCount: 0, others: [] },
  { type: "ban.added", ...BAN, until: 0 },
  { type: "ban.lifted", ...BAN },
]
const AUDIT: AuditEvent = {
  type: "admin.failed",
  at: NOW,
  actor: "test",
  requestId: "r",
  operation: "x",
  target: "",
  code: "c",
  reason: "r",
}
