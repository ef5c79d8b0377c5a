import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { test } from "node:test"
import type { Fault } from "../../src/adapters/memory/memory-store.ts"
import { parseAuthority } from "../../src/adapters/sqlite/authority-json.ts"
import { rootId } from "../../src/app/authority/root-id.ts"
import { makeOperateRotation } from "../../src/app/rotate/operate-rotation.ts"
import type { AuthorityPlan } from "../../src/app/rotate/rotated-authority.ts"
import { makeRotationController } from "../../src/app/rotate/rotation-controller.ts"
import type { AuditEvent } from "../../src/core/audit/event.ts"
import type { ConsumerRow } from "../../src/core/authority/evidence.ts"
import { rotationDue } from "../../src/core/authority/rotation-schedule.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { holdOpens } from "../support/held-opens.ts"
import { NEVER, x509Request } from "../support/issue-fixture.ts"
import { refusal } from "../support/refusal.ts"
import { ALICE, type Controlled, openControlled, WISH } from "../support/rotation/controlled.ts"
import { consumer } from "../support/rotation/rows.ts"
import { until } from "../support/until.ts"

const PHASES = ["planned", "keyed", "publishing", "published", "active", "draining", "drained", "retiring", "retired"]

test("[ROT-30] an automatic rotation of a trust domain that nobody uses goes to its end by itself", async () => {
  const { operate, controller, trust, moves, fixture } = await openControlled({ rows: [] })
  const before = trust.record()
  await operate.start(WISH, ALICE)
  assert.equal(await controller.drive(), "stable")
  assert.deepEqual(
    moves.map((move) => move.split(" ")[0]),
    ["planned", "publishing", "published", "active", "draining", "drained", "retiring", "retired"],
  )
  const after = trust.record()
  assert.equal(after.roots.length, 1)
  assert.notEqual(after.roots[0]?.keyId, before.roots[0]?.keyId)
  assert.equal(after.epoch, before.epoch + 2)
  const keys = await fixture.keys.list()
  assert.deepEqual(
    keys.filter((key) => key.startsWith("root")),
    [after.roots[0]?.keyId],
  )
})

test("[ROT-42] what an operator wants is begun at once, also when nothing was under way", async () => {
  const { operate, controller, fixture, phase } = await openControlled({ rows: [] })
  const { clock } = fixture
  const stop = new AbortController()
  const running = controller.run(stop.signal)
  await clock.untilSleeping(1)
  await operate.start(WISH, ALICE)
  const begun = clock.now()
  const retired = () =>
    fixture.store.events.some((event) => event.type === "rotation.changed" && event.to === "retired")
  await until("the end", async () => {
    await clock.advance(0.01)
    return retired() && phase() === "stable"
  })
  assert.ok(clock.now() < begun + 5, "it looks by itself every five seconds")
  stop.abort()
  await running
})

test("[ROT-31] each change of a rotation is audited before it is made, with who wanted it", async () => {
  const { operate, controller, fixture } = await openControlled({ rows: [] })
  await operate.start(WISH, ALICE)
  await controller.drive()
  const changes = fixture.store.events.filter((event) => event.type === "rotation.changed")
  assert.deepEqual(changes.map(({ actor, change, from, to }) => `${actor}: ${change} ${from} ${to}`).slice(0, 3), [
    "alice: start stable planned",
    "server: key planned keyed",
    "server: advance keyed publishing",
  ])
  assert.equal(changes.at(-1)?.to, "stable")
  fixture.store.onWrite = (kind) => (kind === "audit" ? "lost" : "none")
  await assert.rejects(operate.start(WISH, ALICE), refusal("not-ready"))
  fixture.store.onWrite = () => "none"
  assert.equal((await fixture.store.authorityJournal.read())?.rotations.x509.phase, "stable")
})

for (const [who, between, records] of [
  ["the record was written for something else", "nothing", ["pause"]],
  ["the rotation itself was changed", "rotation", ["pause", "resume", "pause"]],
] as const) {
  test(`[ROT-31] a step that is decided anew, since ${who}, is audited ${records.length === 1 ? "once" : "anew"}`, async () => {
    const it = await openControlled({ rows: [] })
    await it.operate.start(WISH, ALICE)
    let first = true
    const audit = {
      append: async (event: AuditEvent) => {
        await it.fixture.store.auditLog.append(event)
        if (!first) return
        first = false
        if (between === "nothing") await it.trust.update((record) => record)
        else await it.operate.resume(false, ALICE)
      },
    }
    const { store } = it.fixture
    const known = store.events.length
    const outcome = await makeOperateRotation({ ...it.deps, audit }).pause(ALICE)
    assert.equal(outcome.kind, "moved")
    const changes = store.events
      .slice(known)
      .flatMap((event) => (event.type === "rotation.changed" ? [event.change] : []))
    assert.deepEqual(changes, records)
    assert.ok("paused" in it.trust.record().rotations.x509)
  })
}

test("[ROT-14] a pause before the new authority is made holds up its making, too", async () => {
  const { operate, controller, trust, fixture } = await openControlled({ rows: [] })
  await operate.start(WISH, ALICE)
  await operate.pause(ALICE)
  const before = await fixture.keys.list()
  assert.deepEqual([await controller.drive(), await controller.drive()], ["planned", "planned"])
  assert.deepEqual([await fixture.keys.list(), trust.record().roots.length], [before, 1])
  await operate.resume(true, ALICE)
  assert.equal(await controller.drive(), "stable")
})

test("[ROT-32] what is signed follows the record: old, canaries, new, and only by a root that is published", async () => {
  const consumers: { rows: readonly ConsumerRow[] } = { rows: [] }
  const it = await openControlled(consumers)
  const { operate, controller, fixture, trust, issuing } = it
  fixture.caller = { namespace: "shop" }
  const first = await issuerOf(it)
  await operate.start({ auto: false, canary: { namespaces: ["canary"], prefixes: [] } }, ALICE)
  await controller.drive()
  for (const phase of ["publishing", "canary"]) {
    await operate.advance(ALICE)
    await controller.drive()
    if (phase === "publishing") assert.equal(await issuerOf(it), first)
  }
  assert.equal(it.phase(), "canary")
  assert.equal(await issuerOf(it), first)
  fixture.caller = { namespace: "canary" }
  const next = await issuerOf(it)
  assert.notEqual(next, first)
  assert.ok(issuing.current().epoch >= trust.record().requiredEpoch)
  fixture.caller = { namespace: "shop" }
  await fixture.clock.advance(60)
  await operate.advance(ALICE)
  await controller.drive()
  assert.equal(await issuerOf(it), next)
  assert.equal(it.phase(), "draining")
  await operate.rollback(ALICE)
  await controller.drive()
  assert.equal(await issuerOf(it), first)
})

test("[AUT-12][ROT-32] what signs for canaries is replaced at half its life, however long they run", async () => {
  const it = await openControlled({ rows: [] })
  const { operate, controller, fixture } = it
  fixture.caller = { namespace: "canary", expiresAt: fixture.clock.now() + 400_000 }
  await operate.start({ auto: false, canary: { namespaces: ["canary"], prefixes: [] } }, ALICE)
  await controller.drive()
  for (const _ of ["publishing", "canary"]) {
    await operate.advance(ALICE)
    await controller.drive()
  }
  const next = await issuerOf(it)
  const [first] = [it.issuing.prepared()]
  for (let half = 0; half < 4; half++) {
    await fixture.clock.advance(43_200)
    await controller.drive()
    assert.equal(await issuerOf(it), next)
  }
  assert.equal(it.phase(), "canary")
  assert.notEqual(it.issuing.prepared()?.authorityId, first?.authorityId)
})

test("[AUT-16] however many rotations there were, only the keys are there that sign, and those that did just before", async () => {
  const { operate, controller, trust, issuing, fixture } = await openControlled({ rows: [] })
  const roots = new Set<string>()
  for (let rotation = 0; rotation < 5; rotation++) {
    await operate.start(WISH, ALICE)
    assert.equal(await controller.drive(), "stable")
    roots.add(trust.record().roots[0]?.keyId ?? "")
    assert.ok(fixture.issuingKeys.has(issuing.current().signer))
  }
  assert.equal(roots.size, 5)
  assert.ok(fixture.issuingKeys.size <= 3, `${fixture.issuingKeys.size} keys`)
})

test("[ROT-33] waits for a consumer that is late, names it, and goes on when it has acknowledged", async () => {
  const consumers: { rows: readonly ConsumerRow[] } = { rows: [consumer("web", { notAfter: 4_000_000_000, epoch: 0 })] }
  const { operate, controller, trust } = await openControlled(consumers)
  await operate.start(WISH, ALICE)
  assert.equal(await controller.drive(), "publishing")
  const outcome = await operate.advance(ALICE)
  assert.ok(outcome.kind === "refused" && outcome.late[0]?.id === "web")
  consumers.rows = [consumer("web", { notAfter: 4_000_000_000, issuers: [], epoch: trust.snapshot().epoch })]
  assert.equal(await controller.drive(), "retiring")
})

test("[ROT-34] drains until the last certificate of the old root has expired", async () => {
  const it = await openControlled({ rows: [] })
  const { notAfter } = await it.fixture.issueX509(x509Request(), NEVER)
  await it.operate.start(WISH, ALICE)
  assert.equal(await it.controller.drive(), "draining")
  await it.fixture.clock.advance(notAfter - it.fixture.clock.now() + 29)
  assert.equal(await it.controller.drive(), "draining")
  await it.fixture.clock.advance(1)
  assert.equal(await it.controller.drive(), "stable")
})

for (const fault of ["lost", "kept"] as const) {
  test(`[ROT-35] a new process goes on where a ${fault} write ended the one before, in every phase`, async () => {
    for (let write = 1; write <= PHASES.length; write++) {
      const first = await openControlled({ rows: [] })
      const { store, keys } = first.fixture
      await first.operate.start(WISH, ALICE)
      store.onWrite = failNth(write, fault)
      await first.controller.drive().catch(() => undefined)
      store.onWrite = () => "none"
      const phase = (await store.authorityJournal.read())?.rotations.x509.phase
      const second = await openControlled({ rows: [] }, { holder: "server-2" }, first.fixture)
      assert.equal(second.phase(), phase, "nothing moves by a restart")
      await first.fixture.clock.advance(11) // the lease of the one before
      assert.equal(await second.controller.drive(), "stable")
      const { roots } = second.trust.record()
      assert.deepEqual(
        roots.map(({ state }) => state),
        ["active"],
      )
      const left = (await keys.list()).filter((key) => key.startsWith("root"))
      assert.deepEqual(left, [roots[0]?.keyId], `after write ${write} in ${phase}`)
    }
  })
}

test("[ROT-36] of two processes one drives, and the other takes over when it is gone", async () => {
  const late = { rows: [consumer("web", { notAfter: 4_000_000_000, epoch: 0 })] }
  const first = await openControlled(late)
  await first.operate.start(WISH, ALICE)
  assert.equal(await first.controller.drive(), "publishing")
  const second = await openControlled({ rows: [] }, { holder: "server-2" }, first.fixture)
  assert.equal(await second.controller.drive(), "publishing")
  assert.equal(second.trust.record().controller?.holder, "server-1")
  await first.fixture.clock.advance(11)
  assert.equal(await second.controller.drive(), "stable")
  assert.deepEqual(second.trust.record().controller?.token, 2)
})

test("[ROT-37] an abort leaves everything as it was, and no key behind", async () => {
  for (const drives of [0, 1]) {
    const late = { rows: [consumer("web", { notAfter: 4_000_000_000, epoch: 0 })] }
    const { operate, controller, trust, fixture } = await openControlled(late)
    const before = trust.record().roots
    await operate.start(WISH, ALICE)
    if (drives > 0) await controller.drive()
    await operate.abort(undefined, ALICE)
    late.rows = []
    assert.equal(await controller.drive(), "stable")
    assert.deepEqual(trust.record().roots, before)
    assert.deepEqual(await fixture.keys.list().then((keys) => keys.filter((key) => key.startsWith("root"))), [
      before[0]?.keyId,
    ])
  }
})

test("[ROT-37] a key that was made for a rotation that was given up is not taken for the next one, and goes", async () => {
  const it = await openControlled({ rows: [] })
  await it.operate.start(WISH, ALICE)
  const make = async (plan: AuthorityPlan) => {
    const made = await it.deps.authority.make(plan)
    await it.operate.abort(undefined, ALICE)
    await it.fixture.keys.create(plan.keyId, "ec-p256") // as if it had been made just after
    await it.operate.start(WISH, ALICE)
    return made
  }
  const late = makeRotationController({ ...it.deps, authority: { ...it.deps.authority, make } })
  await assert.rejects(late.drive(), refusal("conflict"))
  assert.equal(it.phase(), "planned")
  assert.equal(await it.controller.drive(), "stable")
  const left = (await it.fixture.keys.list()).filter((key) => key.startsWith("root"))
  assert.deepEqual(left, [it.trust.record().roots[0]?.keyId])
})

test("[ROT-38] an emergency takes the stolen root out of the bundle and signs with the new one at once", async () => {
  const rows = [consumer("web", { notAfter: 4_000_000_000, epoch: 0 })]
  const it = await openControlled({ rows })
  const stolen = it.trust.record().roots.map(rootId)
  const opens = holdOpens(it.fixture.keys)
  opens.onOpen = () => {
    throw new Error("the fresh key cannot be opened yet")
  }
  const outcome = await it.operate.emergency({ by: "alice", reason: "key stolen", consumers: "all" }, ALICE)
  assert.equal(outcome.kind, "moved")
  await assert.rejects(issuerOf(it), refusal("not-ready"), "nothing is signed under the stolen root any more")
  opens.onOpen = () => undefined
  assert.equal(await it.controller.drive(), "retiring")
  const { x509Authorities } = it.trust.snapshot().own
  assert.equal(x509Authorities.length, 1)
  assert.ok(!stolen.includes(it.issuing.signsWith()))
  await issuerOf(it)
  const event = it.fixture.store.events.findLast(({ type }) => type === "rotation.changed")
  assert.ok(event?.type === "rotation.changed")
  assert.deepEqual([event.change, event.waived, event.waivedCount], ["emergency", ["web"], 1])
})

test("[ROT-39] a schedule rotates a root after its share of life", async () => {
  const due = () => {
    const [root] = it.trust.record().roots
    return rotationDue(parseCertificate(root?.certificate ?? new Uint8Array()), { share: 0.5 })
  }
  const it = await openControlled({ rows: [] }, { schedule: () => ({ ...WISH, due: due() }) })
  const [before] = it.trust.record().roots
  assert.equal(await it.controller.drive(), "stable")
  assert.deepEqual(it.trust.record().roots[0], before)
  await it.fixture.clock.advance(864_000 / 2)
  assert.equal(await it.controller.drive(), "stable")
  assert.notEqual(it.trust.record().roots[0]?.keyId, before?.keyId)
})

test("[ROT-15] reads records from before there were rotations", () => {
  const text = JSON.stringify({
    trustDomain: "prod.example",
    incarnation: "a",
    revision: 3,
    epoch: 7,
    roots: [],
    jwtKeys: [],
  })
  const record = parseAuthority(text)
  assert.deepEqual(record.rotations, { x509: { phase: "stable" }, jwt: { phase: "stable" } })
  assert.deepEqual([record.requiredEpoch, record.controller], [1, undefined])
})

/** Name of the root that an SVID chains to now. */
async function issuerOf({ fixture }: Controlled): Promise<string> {
  const svid = await fixture.issueX509(x509Request(), NEVER)
  return new X509Certificate(svid.chain[1] ?? "").issuer
}

function failNth(nth: number, fault: Fault): (kind: string) => Fault {
  let count = 0
  return (kind) => (kind === "authority" && ++count === nth ? fault : "none")
}
