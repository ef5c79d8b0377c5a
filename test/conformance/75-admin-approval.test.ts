import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { z } from "zod"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { type AdminCaller, callerText } from "../../src/core/admin/caller.ts"
import type { Proposal } from "../../src/core/admin/proposal.ts"
import { toIdentityError } from "../../src/core/errors.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { makeApprovals } from "../../src/transports/admin/approvals.ts"
import { defineContract } from "../../src/transports/admin/contract.ts"
import { bindOperation } from "../../src/transports/admin/operation.ts"
import { type AdminUnderTest, openAdminUnderTest } from "../support/admin-server.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { NEVER } from "../support/issue-fixture.ts"
import { runAssay } from "../support/run-assay.ts"
import { openX509Client } from "../support/x509-client.ts"

const NOW = 1_800_000_000
const ALICE: AdminCaller = { kind: "peer", uid: 4711, gid: 1, pid: 1 }
const BOB: AdminCaller = { kind: "spiffe", id: parseSpiffeId("spiffe://prod.example/ops/bob"), proof: "x509-svid" }
const VERBS = ["rotation", "approvals", "status"]
const ROLES = [
  { name: "alice", who: { uid: 4711 }, verbs: VERBS },
  { name: "ops", who: { spiffe_id: "/ops/*" }, verbs: VERBS },
  { name: "clerk", who: { uid: 4712 }, verbs: ["approvals"] },
]

interface Options {
  readonly approval?: object
  readonly clock?: FakeClock
  readonly roles?: readonly object[]
}

async function openWorld({ approval = {}, clock = new FakeClock(NOW), roles = ROLES }: Options = {}) {
  const server = await openAdminUnderTest({ clock, config: { admin: { approval, roles: [...roles] } } })
  const ask = async (caller: AdminCaller, name: string, input: object = {}) => {
    const operation = server.admin.operations.find(({ contract }) => contract.name === name)
    if (operation === undefined) throw new RangeError(name)
    return server.admin.perform(operation, { caller, requestId: "r", input }, NEVER)
  }
  const propose = async (caller: AdminCaller, name: string, input: object = {}): Promise<Proposal> => {
    const performed = await ask(caller, name, input)
    assert.ok(performed.kind === "proposed", JSON.stringify(performed))
    return performed.proposal
  }
  const approve = (caller: AdminCaller, { id, digest }: Pick<Proposal, "id" | "digest">, dryRun = false) =>
    ask(caller, "approval.approve", { id, digest, dry_run: dryRun })
  return { server, ask, propose, approve, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

function phaseOf({ pipeline }: AdminUnderTest): string {
  return pipeline.trust.record().rotations.x509.phase
}

test("[ADM-21][ADM-22] a root action waits until somebody else approves it, and both are in the audit log", async () => {
  await using world = await openWorld()
  const { server, propose, approve, ask } = world
  const proposal = await propose(ALICE, "rotation.start", { auto: true })
  assert.equal(phaseOf(server), "stable")
  assert.deepEqual([proposal.request, proposal.operation], ['{"auto":true}', "rotation.start"])
  await approve(BOB, proposal, true)
  assert.equal(phaseOf(server), "stable")
  const performed = await approve(BOB, proposal)
  assert.ok(performed.kind === "done" && "result" in performed.reply)
  assert.match(String(performed.reply.result), /"phase":"planned".*"changed":true/)
  assert.equal(phaseOf(server), "planned")
  const found = await server.state.store.auditSearch.search({ limit: 50 })
  const said = found.records.map(({ record: { type, actor, data } }) => ({ type, actor, ...JSON.parse(data) }))
  const proposed = said.find(({ type }) => type === "admin.proposed")
  assert.deepEqual(
    [proposed?.actor, proposed?.proposal, proposed?.digest],
    [callerText(ALICE), proposal.id, proposal.digest],
  )
  const decided = said.find(({ type }) => type === "admin.decided")
  assert.deepEqual(
    [decided?.actor, decided?.outcome, decided?.proposer],
    [callerText(BOB), "approved", callerText(ALICE)],
  )
  assert.ok(said.some(({ type, actor }) => type === "rotation.changed" && actor === callerText(ALICE)))
  const listed = await ask(BOB, "approval.list")
  assert.match(JSON.stringify(listed), /"outcome":"done","decided_by":"x509-svid:spiffe:/)
  const executed = said.find(({ type }) => type === "admin.executed")
  assert.deepEqual([executed?.actor, executed?.outcome, executed?.proposal], [callerText(BOB), "done", proposal.id])
})

test("[ADM-21] an emergency needs a second person, too, unless it is excepted; dry runs and looks need nobody", async () => {
  const emergency = { reason: "stolen", consumers: "all", dry_run: false }
  await using strict = await openWorld()
  await strict.propose(ALICE, "rotation.emergency", emergency)
  assert.equal(phaseOf(strict.server), "stable")
  assert.equal((await strict.ask(ALICE, "rotation.emergency", { ...emergency, dry_run: true })).kind, "done")
  assert.equal((await strict.ask(ALICE, "rotation.plan")).kind, "done")
  await using lax = await openWorld({ approval: { except: ["rotation.emergency"] } })
  assert.equal((await lax.ask(ALICE, "rotation.emergency", emergency)).kind, "done")
  await lax.propose(ALICE, "rotation.pause")
})

test("[ADM-22] neither who proposed it, by whatever process, nor who may not do it himself approves it", async () => {
  await using world = await openWorld()
  const { server, propose, approve } = world
  const mine = await propose(ALICE, "rotation.start")
  const denied = { code: "policy-denied" }
  await assert.rejects(approve({ ...ALICE, pid: 2, gid: 2 }, mine), { ...denied, reason: "same-person" })
  await assert.rejects(approve({ kind: "peer", uid: 4712, gid: 1, pid: 1 }, mine), {
    ...denied,
    reason: "verb-not-granted",
  })
  await assert.rejects(approve({ kind: "peer", uid: 9999, gid: 1, pid: 1 }, mine), { ...denied, reason: "no-role" })
  const bobs = await propose(BOB, "rotation.start")
  await assert.rejects(approve({ ...BOB, proof: "external-token" }, bobs), { ...denied, reason: "same-person" })
  await server.reload({ admin: { approval: {}, roles: ROLES.slice(1) } })
  await assert.rejects(approve(BOB, mine), { ...denied, reason: "proposer-not-permitted" })
  assert.equal(phaseOf(server), "stable")
})

test("[ADM-06][ADM-22] a role with prefixes shows and decides no proposal about others, and names nobody who is late", async () => {
  const shop = { prefixes: ["/ns/shop/*"] }
  const roles = [
    { name: "alice", who: { uid: 4711 }, verbs: ["bans", "approvals"] },
    { name: "sam", who: { uid: 4713 }, verbs: ["bans", "approvals", "status"], ...shop },
    { name: "eve-bans", who: { uid: 4714 }, verbs: ["bans"] },
    { name: "eve-approves", who: { uid: 4714 }, verbs: ["approvals"], ...shop },
  ]
  await using world = await openWorld({ approval: { verbs: ["bans"] }, roles })
  const { propose, approve, ask } = world
  const [sam, eve] = [4713, 4714].map((uid): AdminCaller => ({ kind: "peer", uid, gid: 1, pid: 1 }))
  if (sam === undefined || eve === undefined) throw new RangeError("two callers")
  const ban = (caller: AdminCaller, path: string) => {
    const target = { kind: "identity", name: `spiffe://prod.example${path}` }
    return propose(caller, "bans.add", { ...target, reason: "stolen", dry_run: false })
  }
  const far = await ban(ALICE, "/ns/finance/sa/ledger")
  const near = await ban(ALICE, "/ns/shop/sa/web")
  const own = await ban(eve, "/ns/finance/sa/other")
  const shown = async (caller: AdminCaller) => {
    const listed = JSON.stringify(await ask(caller, "approval.list"))
    return [far, near, own].map(({ id }) => listed.includes(id))
  }
  assert.deepEqual(await shown(ALICE), [true, true, true])
  assert.deepEqual(await shown(sam), [false, true, false])
  assert.deepEqual(await shown(eve), [false, true, true])
  const outside = { code: "policy-denied", reason: "outside-prefixes" }
  for (const caller of [sam, eve]) {
    await assert.rejects(approve(caller, far), outside)
    await assert.rejects(ask(caller, "approval.reject", { id: far.id }), outside)
  }
  await assert.rejects(ask(sam, "rotation.status"), outside)
  assert.equal((await approve(sam, near)).kind, "done")
  await ask(eve, "approval.reject", { id: own.id })
})

test("[ADM-23] an approval over another state, of another request, or of what was decided is refused", async () => {
  await using world = await openWorld()
  const { server, propose, approve, ask } = world
  const stale = await propose(ALICE, "rotation.start")
  const first = await propose(BOB, "rotation.start", { auto: true })
  await assert.rejects(approve(ALICE, { ...first, digest: "0".repeat(64) }), {
    code: "conflict",
    reason: "digest-mismatch",
  })
  await approve(ALICE, first)
  assert.equal(phaseOf(server), "planned")
  await assert.rejects(approve(ALICE, first), { code: "conflict", reason: "proposal-decided" })
  const abort = await propose(ALICE, "rotation.abort", { dry_run: false })
  await assert.rejects(approve(BOB, stale), { code: "conflict", reason: "proposal-stale" })
  await assert.rejects(approve(BOB, stale), { code: "conflict", reason: "proposal-decided" })
  await approve(BOB, abort)
  assert.equal(phaseOf(server), "stable")
  await assert.rejects(approve(BOB, { id: "0".repeat(16), digest: stale.digest }), { code: "not-found" })
  const rejected = await propose(ALICE, "rotation.start")
  await ask(ALICE, "approval.reject", { id: rejected.id })
  await assert.rejects(approve(BOB, rejected), { code: "conflict", reason: "proposal-decided" })
})

test("[ADM-23] the state is compared when the step is decided, not only before", async () => {
  await using world = await openWorld()
  const { server } = world
  const start = server.admin.operations.find(({ contract }) => contract.name === "rotation.start")
  const prepared = start?.prepare({})
  const call = { caller: ALICE, requestId: "r", dryRun: false, over: "stable of yesterday" }
  await assert.rejects(prepared?.run(call, NEVER) ?? assert.fail(), { code: "conflict", reason: "proposal-stale" })
  assert.equal(phaseOf(server), "stable")
})

test("[ADM-21][ADM-23] what is not recorded for certain is not done, and once when it is approved again", async () => {
  const store = openMemoryStore()
  let done = 0
  const contract = defineContract({
    name: "thing.drop",
    verb: "rotation",
    method: "POST",
    path: "/things/drop",
    summary: "for this test",
    request: z.strictObject({}),
    response: z.strictObject({}),
  })
  const operation = bindOperation(contract, {
    scope: () => ({ kind: "trust-domain" }),
    handle: async () => {
      done++
      return {}
    },
  })
  const who = (uid: number) => ({ kind: "uid", uid }) as const
  const roles = [1, 2].map((uid) => ({
    name: `role-${uid}`,
    who: who(uid),
    verbs: ["rotation", "approvals"] as const,
    prefixes: undefined,
  }))
  const approvals = makeApprovals({
    terms: () => ({ verbs: ["rotation"], except: [], lifetime: 60 }),
    operations: () => [operation],
    roles: () => roles,
    log: store.proposalLog,
    unsettled: () => {},
    clock: new FakeClock(NOW),
    random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
  })
  const [first, second] = [1, 2].map((uid): AdminCaller => ({ kind: "peer", uid, gid: 1, pid: 1 }))
  if (first === undefined || second === undefined) throw new RangeError("two callers")
  const propose = () =>
    approvals.propose(operation, operation.prepare({}), {
      caller: first,
      requestId: "r",
      input: {},
      target: "",
      role: "",
    })
  const approve = ({ id, digest }: Proposal) =>
    approvals.approve(id, digest, { caller: second, requestId: "r", dryRun: false }, NEVER)
  for (const fault of ["lost", "kept"] as const) {
    store.onWrite = () => fault
    await assert.rejects(propose(), { code: "not-ready" }, fault)
    store.onWrite = () => "none"
    const proposal = await propose()
    store.onWrite = () => fault
    await assert.rejects(approve(proposal), { code: "not-ready" }, fault)
    store.onWrite = () => "none"
    assert.equal(done, 0, fault)
    await approve(proposal)
    await assert.rejects(approve(proposal), { reason: "proposal-decided" })
    assert.equal(done, 1)
    done = 0
  }
})

test("[ADM-24] one operator has 16 requests waiting at most, and none waits longer than configured", async () => {
  const clock = new FakeClock(NOW)
  await using world = await openWorld({ clock, approval: { lifetime: "1h" } })
  const { propose, approve } = world
  const first = await propose(ALICE, "rotation.start")
  for (let n = 1; n < 16; n++) await propose(ALICE, "rotation.start")
  await assert.rejects(propose(ALICE, "rotation.start"), { code: "rate-limited", reason: "proposals-full" })
  await propose(BOB, "rotation.start")
  assert.equal(first.expiresAt, NOW + 3600)
  await clock.advance(3600)
  await assert.rejects(approve(BOB, first), { code: "conflict", reason: "proposal-decided" })
  await propose(ALICE, "rotation.start")
})

test("[ADM-24] one operator who asks for much at the same time takes nobody else's room", async () => {
  await using world = await openWorld()
  const asked = await Promise.allSettled(Array.from({ length: 24 }, () => world.propose(ALICE, "rotation.start")))
  const refused = asked.flatMap((one) => (one.status === "rejected" ? [toIdentityError(one.reason).reason] : []))
  assert.deepEqual(refused, new Array(8).fill("proposals-full"))
})

test("[ADM-21][ADM-25] two operators rotate by the command line: one on the machine, one from elsewhere", async () => {
  await using server = await openAdminUnderTest({
    config: {
      listen: { grpc: "127.0.0.1:0", health: "127.0.0.1:0", admin: "127.0.0.1:0" },
      admin: {
        approval: {},
        roles: [{ name: "web", who: { spiffe_id: "/ns/shop/sa/web" }, verbs: ["rotation", "approvals"] }],
      },
    },
  })
  const { folder } = server.setup
  const { client } = await openX509Client(server, "web")
  const files = { "svid.pem": client.cert, "svid_key.pem": client.key, "bundle.pem": server.roots }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 })
  const here = ["--admin-socket", server.admin.socket]
  const there = ["--server", `https://localhost:${server.admin.port}`, "--svid-dir", folder]
  const asked = await runAssay(["rotation", "start", ...here])
  assert.equal(asked.code, 1)
  const [, id = ""] = /^assay: approval-needed: .* \(proposal (\w+)\) \(next: another operator/.exec(asked.err) ?? []
  const listed = await runAssay(["approval", "list", ...there])
  assert.match(listed.out, new RegExp(`^${id} +waiting +rotation\\.start +unix:uid=`, "m"), listed.err)
  assert.match(listed.out, /^request {4}\{.*\}$/m)
  const own = await runAssay(["approval", "approve", id, "--yes", ...here])
  assert.match(own.err, /^assay: same-person: you proposed it/)
  const tried = await runAssay(["approval", "approve", id, ...there])
  assert.match(tried.out, /^would be done with --yes:/, tried.err)
  assert.equal(phaseOf(server), "stable")
  const done = await runAssay(["approval", "approve", id, "--yes", ...there, "-o", "yaml"])
  assert.match(done.out, /outcome: done/, done.err)
  assert.equal(phaseOf(server), "planned")
  const rest = await runAssay(["approval", "list", ...here])
  assert.equal(rest.out, "nothing waits\n")
})
