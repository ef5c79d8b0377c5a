import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { digestRequest, type Proposal } from "../../src/core/admin/proposal.ts"
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
      await store.proposalLog.decide(first.id, { outcome: "rejected", by: "bob", at: NOW + 1 }, AUDIT)
      assert.deepEqual(await store.proposalLog.list(), [
        { proposal: second, decision: undefined },
        { proposal: first, decision: { outcome: "rejected", by: "bob", at: NOW + 1 } },
      ])
    })

    test("[ADM-23] decides once, before the end, and never what it does not know", async () => {
      await using store = await open()
      const { proposalLog } = store
      const [one, other] = [proposalOf(1), proposalOf(2)]
      for (const proposal of [one, other]) await proposalLog.add(proposal, AUDIT)
      await assert.rejects(proposalLog.add(one, AUDIT), { code: "already-exists" })
      const approve = (id: string, at: number) => proposalLog.decide(id, { outcome: "approved", by: "bob", at }, AUDIT)
      const both = await Promise.allSettled([approve(one.id, NOW + 1), approve(one.id, NOW + 1)])
      assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"])
      const decided = { code: "conflict", reason: "proposal-decided" }
      await assert.rejects(approve(one.id, NOW + 2), decided)
      await assert.rejects(approve(other.id, other.expiresAt), decided)
      await assert.rejects(approve("ff".repeat(8), NOW), decided)
    })

    test("[ADM-24] holds 64 that wait, makes room when one ends, and remembers a thousand that ended", async () => {
      await using store = await open()
      const { proposalLog } = store
      for (let n = 0; n < 64; n++) await proposalLog.add(proposalOf(n), AUDIT)
      const full = { code: "rate-limited", reason: "proposals-full" }
      await assert.rejects(proposalLog.add(proposalOf(64), AUDIT), full)
      await proposalLog.decide(proposalOf(0).id, { outcome: "stale", by: "bob", at: NOW }, AUDIT)
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
