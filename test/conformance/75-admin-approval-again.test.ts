import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { z } from "zod"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { MIGRATIONS } from "../../src/adapters/sqlite/schema.ts"
import type { AdminCaller } from "../../src/core/admin/caller.ts"
import { digestRequest, type Proposal, standingOf, TRACE_TYPES } from "../../src/core/admin/proposal.ts"
import { type ErrorCode, IdentityError } from "../../src/core/errors.ts"
import { recordedReply } from "../../src/transports/admin/approval-contracts.ts"
import { makeApprovals } from "../../src/transports/admin/approvals.ts"
import { defineContract } from "../../src/transports/admin/contract.ts"
import { CONTRACTS } from "../../src/transports/admin/contracts.ts"
import { bindOperation } from "../../src/transports/admin/operation.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { NEVER } from "../support/issue-fixture.ts"
import { olderStore } from "../support/older-store.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"

const NOW = 1_800_000_000
const [ALICE, BOB, CAROL] = [1, 2, 3].map((uid): AdminCaller => ({ kind: "peer", uid, gid: 1, pid: 1 }))
if (ALICE === undefined || BOB === undefined || CAROL === undefined) throw new RangeError("three callers")

const drop = defineContract({
  name: "thing.drop",
  verb: "rotation",
  method: "POST",
  path: "/things/drop",
  summary: "for this test",
  request: z.strictObject({}),
  response: z.strictObject({}),
})

/** An operation that fails as it is told, in a world that is what it is told to be. */
function openWorld() {
  const store = openMemoryStore()
  const clock = new FakeClock(NOW)
  const world = { over: "a", failure: undefined as IdentityError | undefined, gate: Promise.resolve(), done: 0 }
  const unsettled: string[] = []
  const operation = bindOperation(drop, {
    scope: () => ({ kind: "trust-domain" }),
    over: () => world.over,
    handle: async () => {
      await world.gate
      if (world.failure !== undefined) throw world.failure
      world.done++
      return {}
    },
  })
  const roles = [1, 2, 3].map((uid) => {
    const who = { kind: "uid", uid } as const
    return { name: `role-${uid}`, who, verbs: ["rotation", "approvals"] as const, prefixes: undefined }
  })
  let requests = 0
  const approvals = makeApprovals({
    terms: () => ({ verbs: ["rotation"], except: [], lifetime: 60 }),
    operations: () => [operation],
    roles: () => roles,
    log: store.proposalLog,
    unsettled: (proposal) => unsettled.push(proposal),
    clock,
    random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
  })
  const propose = () => {
    const wish = { caller: ALICE, requestId: "p", input: {}, target: "", role: "" } as const
    return approvals.propose(operation, operation.prepare({}), { ...wish, caller: wish.caller ?? assert.fail() })
  }
  const approve = ({ id, digest }: Proposal, caller: AdminCaller | undefined = BOB, dryRun = false) => {
    const call = { caller: caller ?? assert.fail(), requestId: `a${++requests}`, dryRun }
    return approvals.approve(id, digest, call, NEVER)
  }
  const standing = async ({ id }: Proposal) => {
    const found = (await store.proposalLog.list()).find(({ proposal }) => proposal.id === id) ?? assert.fail()
    return standingOf(found, clock.now())
  }
  /** Approved, and the server ended there. */
  const interrupted = async () => {
    const proposal = await propose()
    store.onWrite = () => "kept"
    await assert.rejects(approve(proposal), { code: "not-ready" })
    store.onWrite = () => "none"
    assert.deepEqual([await standing(proposal), world.done], ["approved", 0])
    return proposal
  }
  return { store, clock, world, unsettled, propose, approve, standing, interrupted, approvals }
}

test("[ADM-28] approved and not done: shown with the next step, and done by any approver but its proposer, once, with a record first", async () => {
  const { approvals, approve, interrupted, standing, world, store } = openWorld()
  const proposal = await interrupted()
  const [recorded] = await store.proposalLog.list()
  const reply = recordedReply(recorded ?? assert.fail(), NOW)
  assert.deepEqual([reply.outcome, reply.next], ["approved", "approve it again: nothing of it was done"])
  await assert.rejects(approve(proposal, ALICE), { code: "policy-denied", reason: "same-person" })
  await assert.rejects(
    approvals.reject(proposal.id, { caller: CAROL ?? assert.fail(), requestId: "x", dryRun: false }),
    {
      reason: "proposal-decided",
    },
  )
  assert.equal(await approve(proposal, CAROL, true), undefined)
  assert.equal(world.done, 0)
  await approve(proposal, CAROL)
  assert.deepEqual([await standing(proposal), world.done], ["done", 1])
  await assert.rejects(approve(proposal), { code: "conflict", reason: "proposal-decided" })
  const said = store.events.flatMap((event) =>
    "outcome" in event ? [`${event.type} ${event.outcome} ${event.actor}`] : [],
  )
  assert.deepEqual(said, [
    "admin.decided approved unix:uid=2,gid=1,pid=1",
    "admin.decided resumed unix:uid=3,gid=1,pid=1",
    "admin.executed done unix:uid=3,gid=1,pid=1",
  ])
})

test("[ADM-28] it is not done again over another state, when it is too old, or when something of it was begun", async () => {
  const { approve, interrupted, standing, world, clock, store } = openWorld()
  const stale = await interrupted()
  world.over = "b"
  await assert.rejects(approve(stale, BOB, true), { reason: "proposal-stale" })
  assert.equal(await standing(stale), "approved")
  await assert.rejects(approve(stale), { code: "conflict", reason: "proposal-stale" })
  assert.equal(await standing(stale), "failed")
  world.over = "a"
  await assert.rejects(approve(stale), { reason: "proposal-decided" })
  const begun = await interrupted()
  const [{ decision } = assert.fail()] = await store.proposalLog.list()
  const about = {
    at: NOW,
    actor: "",
    requestId: decision?.requestId ?? "",
    ban: "identity",
    name: "",
    reason: "",
  } as const
  await store.auditLog.append({ type: "ban.lifted", ...about })
  assert.equal(await standing(begun), "unknown")
  await assert.rejects(approve(begun), { code: "conflict", reason: "proposal-begun" })
  const old = await interrupted()
  await clock.advance(60)
  await assert.rejects(approve(old), { code: "conflict", reason: "proposal-decided" })
  assert.equal(world.done, 0)
})

test("[ADM-25][ADM-28] the list shows what was approved and not done, with the next step, and the command line has it done", async () => {
  const clock = new FakeClock(NOW)
  const roles = [{ name: "alice", who: { uid: 4711 }, verbs: ["rotation"] }]
  await using server = await openAdminUnderTest({ clock, config: { admin: { approval: {}, roles } } })
  const { proposalLog } = server.state.store
  const start = server.admin.operations.find(({ contract }) => contract.name === "rotation.start") ?? assert.fail()
  const alice = { kind: "peer", uid: 4711, gid: 1, pid: 1 } as const
  const performed = await server.admin.perform(start, { caller: alice, requestId: "p", input: {} }, NEVER)
  assert.ok(performed.kind === "proposed")
  const { id, operation, target, digest, over } = performed.proposal
  assert.ok(over.startsWith(server.pipeline.trust.record().incarnation), "it is good in this incarnation alone")
  const about = { operation, target, proposal: id, digest, outcome: "approved", proposer: "alice" } as const
  const decided = { type: "admin.decided", at: NOW, actor: "bob", requestId: "a", ...about } as const
  await proposalLog.decide(id, { outcome: "approved", by: "bob", at: NOW, requestId: "a" }, decided)
  const here = ["--admin-socket", server.admin.socket]
  const listed = await runAssay(["approval", "list", ...here])
  assert.match(listed.out, new RegExp(`^${id} +approved, not done +rotation\\.start `, "m"), listed.err)
  assert.match(listed.out, /^next {7}approve it again: nothing of it was done$/m)
  const done = await runAssay(["approval", "approve", id, "--yes", ...here])
  assert.match(done.out, /^done:/, done.err)
  assert.equal(server.pipeline.trust.record().rotations.x509.phase, "planned")
  assert.equal((await runAssay(["approval", "list", ...here])).out, "nothing waits\n")
  assert.match((await runAssay(["approval", "list", "--all", ...here])).out, new RegExp(`^${id} +done +rotation`, "m"))
})

const FINAL: readonly ErrorCode[] = [
  "malformed",
  "conflict",
  "not-found",
  "policy-denied",
  "unsupported",
  "already-exists",
]
const PASSING: readonly ErrorCode[] = [
  "not-ready",
  "attestor-down",
  "rate-limited",
  "cancelled",
  "deadline",
  "internal",
]

test("[ADM-28] a failure that is certain is written down and final; what may pass, or is not known, leaves it open", async () => {
  const { approve, propose, standing, world, store } = openWorld()
  for (const code of FINAL) {
    world.failure = new IdentityError(code, "told to", { reason: "told" })
    const proposal = await propose()
    await assert.rejects(approve(proposal), { code, reason: "told" })
    assert.equal(await standing(proposal), "failed", code)
    const [recorded] = await store.proposalLog.list()
    assert.equal(recordedReply(recorded ?? assert.fail(), NOW).reason, "told")
    await assert.rejects(approve(proposal), { reason: "proposal-decided" })
  }
  for (const code of PASSING) {
    world.failure = new IdentityError(code, "told to")
    const proposal = await propose()
    await assert.rejects(approve(proposal), { code })
    assert.equal(await standing(proposal), "approved", code)
    world.failure = undefined
    const before = world.done
    await approve(proposal)
    assert.deepEqual([await standing(proposal), world.done], ["done", before + 1], code)
  }
})

test("[ADM-28] while it is being done nobody has it done a second time", async () => {
  const { approve, interrupted, world, standing } = openWorld()
  const proposal = await interrupted()
  const gate = Promise.withResolvers<void>()
  world.gate = gate.promise
  const first = approve(proposal)
  await assert.rejects(approve(proposal, CAROL), { code: "conflict", reason: "proposal-under-way" })
  gate.resolve()
  await first
  assert.deepEqual([await standing(proposal), world.done], ["done", 1])
})

test("[ADM-28] what was done is said to be done, also when that cannot be written down", async () => {
  const { store, approve, propose, world, unsettled } = openWorld()
  const proposal = await propose()
  let writes = 0
  store.onWrite = () => (++writes === 2 ? "lost" : "none")
  assert.deepEqual(await approve(proposal), {})
  assert.deepEqual([world.done, unsettled], [1, [proposal.id]])
})

test("[ADM-28] what a server approved that wrote down no outcome is unknown, and not done again", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("store.db")
  olderStore(path, MIGRATIONS.slice(0, 8), 1)
  {
    using db = new DatabaseSync(path)
    const proposer = JSON.stringify(ALICE)
    const digest = digestRequest("thing.drop", "{}")
    db.prepare(`INSERT INTO proposal (id, operation, request, digest, target, proposer, role, over, created_at, expires_at,
outcome, decided_by, decided_at) VALUES ('0011223344556677', 'thing.drop', '{}', ?, '', ?, 'r', 'a', 1, ?, 'approved', 'bob', 2)`).run(
      digest,
      proposer,
      NOW + 60,
    )
  }
  await using store = await openSqliteStore({ path, mode: "open" })
  const [recorded = assert.fail()] = await store.proposalLog.list()
  assert.equal(standingOf(recorded, NOW), "unknown")
  const { id } = recorded.proposal
  const said = { type: "ban.lifted", at: NOW, actor: "", requestId: "", ban: "identity", name: "", reason: "" } as const
  await assert.rejects(store.proposalLog.resume(id, NOW, said), { reason: "proposal-decided" })
})

test("[ADM-28] every operation that may wait for a second person leaves its trace under its request when it changes anything", async () => {
  await using server = await openAdminUnderTest()
  const name = { kind: "identity", name: "spiffe://prod.example/ns/shop/sa/web", reason: "r" }
  const inputs: readonly (readonly [string, object])[] = [
    ["rotation.start", {}],
    ["rotation.pause", {}],
    ["rotation.resume", { auto: false }],
    ["rotation.abort", { dry_run: false }],
    ["rotation.emergency", { reason: "r", consumers: "all", dry_run: false }],
    ["bans.add", { ...name, dry_run: false }],
    ["bans.lift", name],
  ]
  // These go the way of those above, but need a rotation that has come further.
  const alike = ["rotation.advance", "rotation.rollback", "rotation.waive"]
  const approvable = CONTRACTS.filter(
    ({ verb, method }) => (verb === "rotation" || verb === "bans") && method !== "GET",
  )
  const known = [...inputs.map(([operation]) => operation), ...alike]
  assert.deepEqual(approvable.map((contract) => contract.name).sort(), known.sort())
  const { auditSearch } = server.state.store
  for (const [operation, input] of inputs) {
    const requestId = `of ${operation}`
    const asked = server.admin.operations.find(({ contract }) => contract.name === operation) ?? assert.fail()
    const caller = { kind: "peer", uid: process.getuid?.() ?? 0, gid: 0, pid: 1 } as const
    await server.admin.perform(asked, { caller, requestId, input }, NEVER)
    const { records } = await auditSearch.search({ requestId, limit: 10 })
    const traces = records.filter(({ record: { type } }) => TRACE_TYPES.some((one) => one === type))
    assert.ok(traces.length > 0, operation)
  }
})
