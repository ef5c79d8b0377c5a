import assert from "node:assert/strict"
import { test } from "node:test"
import type { Fault } from "../../src/adapters/memory/memory-store.ts"
import { encodeAuthority, parseAuthority } from "../../src/adapters/sqlite/authority-json.ts"
import { rootId } from "../../src/app/authority/root-id.ts"
import { makeOperateRotation } from "../../src/app/rotate/operate-rotation.ts"
import type { AuthorityPlan } from "../../src/app/rotate/rotated-authority.ts"
import { rotationOver } from "../../src/app/rotate/rotation-over.ts"
import { rolesOf } from "../../src/core/authority/authority-roles.ts"
import type { ConsumerRow } from "../../src/core/authority/evidence.ts"
import type { RotationCommand } from "../../src/core/authority/rotation-command.ts"
import type { RotationKind } from "../../src/core/authority/rotation-state.ts"
import { stepRotation } from "../../src/core/authority/rotation-step.ts"
import { jwtRequest, NEVER, x509Request } from "../support/issue-fixture.ts"
import { refusal } from "../support/refusal.ts"
import { ALICE, type Controlled, openControlled, WISH } from "../support/rotation/controlled.ts"
import {
  after,
  consumer,
  context,
  KEYED,
  lateOf,
  NOW,
  phaseOf,
  refusalOf,
  replica,
  START,
} from "../support/rotation/rows.ts"

const ALL = { by: "alice", reason: "incident 7", consumers: "all" } as const
const FRESH = { next: "fresh", keyId: "root-3", notAfter: NOW + 86_400 }
const EMERGENCY: Extract<RotationCommand, { kind: "emergency" }> = {
  kind: "emergency",
  id: "r-2",
  old: "old",
  fresh: FRESH,
  waiver: ALL,
  again: false,
}
const HEAD = { trustDomain: "prod.example", incarnation: "a", revision: 3, epoch: 7, roots: [], jwtKeys: [] }
const CALM = context([], [replica({ epoch: 9 })])
const ADVANCES = [0, 1, 2, 3, 4, 5, 6, 7]

test("[ROT-66] in every phase the fresh authority signs, everything that there was goes, and there is no way back", () => {
  const before = [{ phase: "stable" } as const, after(START), ...ADVANCES.map(rotatedBy), after(START, KEYED, "abort")]
  for (const state of before) {
    const signs = "next" in state && rolesOf(state).next === "active" ? "next" : "old"
    const outcome = stepRotation(state, { ...EMERGENCY, old: signs }, CALM)
    assert.equal(phaseOf(outcome), "retiring", state.phase)
    assert.ok(outcome.kind === "moved" && "next" in outcome.state)
    const { next, old, others, keyId, emergency, auto, epoch } = outcome.state
    assert.deepEqual([next, keyId, emergency, auto, epoch], ["fresh", "root-3", true, false, 2])
    const gone = "next" in state ? ["next", "old"] : ["old"]
    assert.deepEqual([[old, ...others].sort(), old], [gone, signs], state.phase)
    assert.deepEqual(rolesOf(outcome.state), { old: "removed", next: "active" })
    for (const kind of ["rollback", "abort"] as const)
      assert.equal(refusalOf(stepRotation(outcome.state, { kind }, CALM)), "wrong-phase")
  }
})

test("[ROT-66] what is fresh must be another one, and live long enough", () => {
  const state = rotatedBy(2)
  for (const next of ["old", "next"]) {
    const outcome = stepRotation(state, { ...EMERGENCY, fresh: { ...FRESH, next } }, CALM)
    assert.equal(refusalOf(outcome), "same-authority")
  }
  const short = { ...EMERGENCY, fresh: { ...FRESH, notAfter: NOW + 3599 } }
  assert.equal(refusalOf(stepRotation(state, short, CALM)), "too-short-lived")
})

test("[ROT-68] said once more it is refused, and done only if what the first one made is stolen too; a bounded number of times", () => {
  let state = stepped(rotatedBy(3), { ...EMERGENCY, old: "next" })
  assert.equal(refusalOf(stepRotation(state, { ...EMERGENCY, old: "fresh" }, CALM)), "emergency-under-way")
  for (let count = 1; count <= 14; count++) {
    const old = "next" in state ? state.next : assert.fail()
    const fresh = { ...FRESH, next: `fresh-${count}` }
    state = stepped(state, { ...EMERGENCY, old, fresh, again: true })
    assert.ok("next" in state && state.old === old && state.next === `fresh-${count}`)
    assert.equal(state.others.length, count + 1)
  }
  state = stepped(state, { ...EMERGENCY, old: "fresh-14", fresh: { ...FRESH, next: "fresh-15" }, again: true })
  const over = { ...EMERGENCY, old: "fresh-15", again: true }
  assert.equal(refusalOf(stepRotation(state, over, CALM)), "too-many-leave")
})

test("[ROT-09] the waiver must name everybody who loses trust: who holds something of either, and who only verifies", () => {
  const rows = [
    consumer("web"),
    consumer("api", { issuers: ["next"], epoch: 2 }),
    consumer("db", { spiffeId: undefined, issuers: [] }),
    consumer("gone", { live: false, notAfter: NOW - 31 }),
  ]
  const hit = context(rows)
  const declare = (consumers: readonly string[] | "all") =>
    stepRotation(rotatedBy(3), { ...EMERGENCY, old: "next", waiver: { ...ALL, consumers } }, hit)
  assert.equal(refusalOf(declare(["web", "db"])), "waiver-incomplete")
  assert.deepEqual(lateOf(declare(["web", "db"])), ["web holds-other", "api holds-other", "db not-acknowledged"])
  for (const outcome of [declare(["web", "api", "db"]), declare("all")]) {
    assert.equal(phaseOf(outcome), "retiring")
    assert.ok(outcome.kind === "moved" && "waivers" in outcome.state)
    assert.deepEqual(
      outcome.state.waivers.map(({ point, consumers }) => [point, consumers]),
      ["sp1", "sp2"].map((point) => [point, ["web", "api", "db"]]),
    )
    // Nobody is left out of SP3.
    assert.deepEqual(lateOf(stepRotation(outcome.state, { kind: "tick" }, hit)), [
      "web not-acknowledged",
      "db not-acknowledged",
      "r1 replica-behind",
    ])
  }
})

test("[ROT-09][ROT-48] more than one waiver can name are left behind all the same: the first by name, the others by their number", () => {
  const rows = Array.from({ length: 20_001 }, (_, i) => consumer(`web-${i}`, { issuers: ["old", "next"], epoch: 9 }))
  const hit = context(rows, [replica({ epoch: 9 })])
  const declared = stepRotation(rotatedBy(3), { ...EMERGENCY, old: "next" }, hit)
  const aborted = stepRotation(stepped(rotatedBy(3), { kind: "rollback" }), { kind: "abort", waiver: ALL }, hit)
  for (const outcome of [declared, aborted]) {
    assert.ok(outcome.kind === "moved" && "waivers" in outcome.state, refusalOf(outcome))
    for (const { consumers, unnamed = 0 } of outcome.state.waivers)
      assert.deepEqual([consumers.length, unnamed > 0], [20_000, true])
  }
  // Whom a point that is asked again does not wait for has to be known by name.
  assert.equal(refusalOf(stepRotation(rotatedBy(4), { kind: "waive", waiver: ALL }, hit)), "waiver-too-long")
})

for (const kind of ["x509", "jwt"] as const) {
  for (const phase of ["stable", "keyed", "publishing", "draining", "retiring"]) {
    test(`[ROT-38][ROT-63][ROT-66] ${kind}: nothing that there was in ${phase} is in a bundle or signs from then on, and every key of it goes`, async () => {
      const it = await openIn(phase, kind)
      const before = authoritiesOf(it, kind)
      const outcome = await it.operate.emergency(ALL, ALICE)
      assert.ok(outcome.kind === "moved" && outcome.state.phase === "retiring")
      const { own } = it.trust.snapshot()
      assert.equal((kind === "x509" ? own.x509Authorities : own.jwtAuthorities).length, 1)
      const [there, ...more] = authoritiesOf(it, kind).filter(({ state }) => state !== "removed")
      assert.deepEqual([there?.state, more], ["active", []])
      assert.ok(!before.some(({ id }) => id === there?.id))
      const signs = kind === "x509" ? it.issuing.signsWith() : it.fixture.jwtKeys.signsWith()
      assert.deepEqual([signs, outcome.state.next], [there?.id, there?.id], "the fresh one signs at once")
      it.consumers.rows = []
      assert.equal(await it.controller.drive(), "retired")
      await it.operate.advance(ALICE)
      assert.deepEqual([it.phase(), await keysOf(it, kind)], ["stable", [there?.keyId]])
    })
  }
}

test("[ROT-66] an authority that was only planned is made no more, and a key that it may have is destroyed in the end", async () => {
  const it = await openControlled({ rows: [] })
  await it.operate.start(WISH, ALICE)
  const planned = it.trust.record().rotations.x509
  assert.ok(planned.phase === "planned")
  await it.fixture.keys.create(planned.keyId, "ec-p256") // as a crash leaves it
  await it.operate.emergency(ALL, ALICE)
  assert.deepEqual(it.trust.record().looseKeys?.x509, { left: [planned.keyId] })
  assert.equal(await it.controller.drive(), "retired")
  await it.operate.advance(ALICE)
  assert.deepEqual(await keysOf(it, "x509"), [it.trust.record().roots[0]?.keyId])
  assert.deepEqual(it.trust.record().looseKeys?.x509, { left: [] })
})

for (const fault of ["lost", "kept"] as const) {
  test(`[ROT-67] a ${fault} write at each step leaves what was there or the emergency, and the next try leaves no key that nobody knows`, async () => {
    for (let write = 1; write <= 2; write++) {
      const first = await openIn("publishing", "x509")
      const { store, keys } = first.fixture
      store.onWrite = failNth(write, fault)
      await first.operate.emergency(ALL, ALICE).catch(() => undefined)
      store.onWrite = () => "none"
      const stored = (await store.authorityJournal.read()) ?? assert.fail()
      const isDone = fault === "kept" // it reads again, and goes on
      assert.equal(stored.rotations.x509.phase, isDone ? "retiring" : "publishing")
      const active = stored.roots.filter(({ state }) => state === "active").map(({ keyId }) => keyId)
      assert.ok((await keys.list()).includes(active[0] ?? ""), "what signs has its key")
      const again = await openControlled({ rows: [] }, { holder: "server-2" }, first.fixture)
      await first.fixture.clock.advance(11)
      const outcome = await again.operate.emergency(ALL, ALICE)
      assert.equal(refusalOf(outcome), isDone ? "emergency-under-way" : "moved")
      assert.equal(await again.controller.drive(), "retired")
      await again.operate.advance(ALICE)
      assert.deepEqual(await keysOf(again, "x509"), [again.trust.record().roots[0]?.keyId], `write ${write}`)
    }
  })
}

test("[ROT-67] a key that an emergency made in vain is never used, and goes", async () => {
  const it = await openIn("publishing", "x509")
  const before = await keysOf(it, "x509")
  const refused = await it.operate.emergency({ ...ALL, by: "" }, ALICE)
  assert.equal(refusalOf(refused), "waiver-unsigned")
  assert.deepEqual(await keysOf(it, "x509"), before, "nothing is made for what is refused anyway")
  it.fixture.store.onWrite = failNth(2, "lost")
  await assert.rejects(it.operate.emergency(ALL, ALICE), refusal("not-ready"))
  it.fixture.store.onWrite = () => "none"
  const { chosen } = it.trust.record().looseKeys?.x509 ?? {}
  assert.ok((await keysOf(it, "x509")).includes(chosen ?? ""))
  await it.operate.emergency(ALL, ALICE)
  assert.ok(!(await keysOf(it, "x509")).includes(chosen ?? ""))
  assert.ok(!it.trust.record().roots.some(({ keyId }) => keyId === chosen))
})

test("[ROT-67] of two who declare it at the same time one does, and the other hears so", async () => {
  const it = await openIn("publishing", "x509")
  const other = await openControlled({ rows: [] }, { holder: "server-2" }, it.fixture)
  const results = await Promise.allSettled([
    it.operate.emergency(ALL, ALICE),
    it.operate.emergency(ALL, ALICE),
    other.operate.emergency(ALL, ALICE),
  ])
  const done = results.filter((result) => result.status === "fulfilled" && result.value.kind === "moved")
  assert.equal(done.length, 1)
  const codes = results.flatMap((result) => (result.status === "rejected" ? [Object(result.reason).code] : []))
  assert.ok(codes.every((code) => code === "conflict"))
})

test("[ADM-23][ROT-67] what an emergency was approved over must be so still when the fresh key takes over; else the key goes", async () => {
  const it = await openIn("publishing", "x509")
  const before = await keysOf(it, "x509")
  const authority = {
    ...it.deps.authority,
    make: async (plan: AuthorityPlan) => {
      await it.operate.pause(ALICE)
      return it.deps.authority.make(plan)
    },
  }
  const over = rotationOver(it.deps, it.trust.record())
  const operate = makeOperateRotation({ ...it.deps, authority })
  await assert.rejects(operate.emergency(ALL, { ...ALICE, over }), { code: "conflict", reason: "proposal-stale" })
  assert.equal(it.phase(), "publishing")
  assert.deepEqual(await keysOf(it, "x509"), before)
  const now = rotationOver(it.deps, it.trust.record())
  assert.equal((await it.operate.emergency(ALL, { ...ALICE, over: now })).kind, "moved")
})

test("[ROT-31][ROT-66] the audit log has everything that leaves, and who was not waited for", async () => {
  const it = await openIn("draining", "x509")
  const [a, b] = authoritiesOf(it, "x509")
  await it.operate.emergency(ALL, ALICE)
  const event = it.fixture.store.events.findLast(({ type }) => type === "rotation.changed")
  assert.ok(event?.type === "rotation.changed")
  assert.deepEqual(
    [event.change, event.from, event.to, event.old, event.others],
    ["emergency", "draining", "retiring", b?.id, [a?.id]],
  )
  assert.deepEqual([event.waived, event.waivedCount], [["web"], 1])
})

test("[ROT-31][ROT-09] the audit log has the number of all who were not waited for, also of those whom the record does not name", async () => {
  const it = await openIn("draining", "x509")
  const held = { notAfter: 4_000_000_000, epoch: 0 }
  it.consumers.rows = Array.from({ length: 20_001 }, (_, i) => consumer(`web-${i}`, held))
  await it.operate.emergency(ALL, ALICE)
  const event = it.fixture.store.events.findLast(({ type }) => type === "rotation.changed")
  assert.ok(event?.type === "rotation.changed")
  assert.deepEqual([event.waived.length, event.waivedCount], [1000, 20_001])
  const { x509 } = parseAuthority(encodeAuthority(it.trust.record())).rotations
  assert.deepEqual(x509, it.trust.record().rotations.x509)
  assert.ok("waivers" in x509 && x509.waivers.every(({ unnamed }) => unnamed === 1))
})

test("[ROT-40] for how long a rotation was held up is in the record", () => {
  const resumed = (now: number) => {
    const outcome = stepRotation(
      stepped(rotatedBy(3), { kind: "pause" }),
      { kind: "resume", auto: false },
      { ...context([]), now },
    )
    return outcome.kind === "moved" ? outcome.state : assert.fail(outcome.reason)
  }
  assert.ok(!("heldFor" in resumed(NOW)))
  const held = resumed(NOW + 5)
  for (const state of [held, stepped(held, { kind: "pause" })]) {
    assert.ok("heldFor" in state)
    const stored = { ...HEAD, rotations: { x509: state, jwt: { phase: "stable" } } }
    assert.deepEqual(parseAuthority(JSON.stringify(stored)).rotations.x509, state)
  }
})

test("[ROT-15] reads an emergency of a version in which nothing but the old one left", () => {
  const state = {
    ...{ phase: "retiring", id: "r-1", old: "aa", next: "bb", keyId: "root-2", epoch: 2, epochSince: 1 },
    ...{ startedAt: 1, since: 1, auto: false, paused: false, emergency: true },
    ...{ canary: { namespaces: [], prefixes: [] }, waivers: [] },
  }
  const record = parseAuthority(JSON.stringify({ ...HEAD, rotations: { x509: state, jwt: { phase: "stable" } } }))
  const { x509 } = record.rotations
  assert.deepEqual(["next" in x509 && x509.others, record.looseKeys], [[], undefined])
})

function rotatedBy(count: number) {
  return after(START, KEYED, ...Array.from({ length: count }, () => "advance" as const))
}

function stepped(state: Parameters<typeof stepRotation>[0], command: RotationCommand) {
  const outcome = stepRotation(state, command, CALM)
  return outcome.kind === "moved" ? outcome.state : assert.fail(outcome.reason)
}

/** A rotation that stands in `phase`, with one who holds something for ever. */
async function openIn(phase: string, kind: RotationKind) {
  const consumers: { rows: readonly ConsumerRow[] } = { rows: [] }
  const it = await openControlled(consumers, { kind, schedule: () => undefined, publishAhead: 0 })
  await (kind === "x509" ? it.fixture.issueX509(x509Request(), NEVER) : it.fixture.issueJwt(jwtRequest(), NEVER))
  if (phase !== "stable") await it.operate.start({ ...WISH, auto: false }, ALICE)
  for (let step = 0; it.phase() !== phase; step++) {
    assert.ok(step < MAX_STEPS, it.phase())
    if (it.phase() === "draining") await it.fixture.clock.advance(A_LIFE)
    if ((await it.controller.drive()) !== phase) await it.operate.advance(ALICE)
  }
  consumers.rows = [consumer("web", { notAfter: 4_000_000_000, epoch: 0, kind: "agent", grade: "subscription-ack" })]
  return { ...it, consumers }
}

function authoritiesOf({ trust }: Controlled, kind: RotationKind) {
  const { roots, jwtKeys } = trust.record()
  if (kind === "jwt") return jwtKeys.map(({ kid, keyId, state }) => ({ id: kid, keyId, state }))
  return roots.map((root) => ({ id: rootId(root), keyId: root.keyId, state: root.state }))
}

async function keysOf({ fixture }: Controlled, kind: RotationKind): Promise<readonly string[]> {
  const keys = await fixture.keys.list()
  return keys.filter((key) => key.startsWith(kind === "x509" ? "root-" : "jwt-"))
}

function failNth(nth: number, fault: Fault): (kind: string) => Fault {
  let count = 0
  return (kind) => (kind === "authority" && ++count === nth ? fault : "none")
}

/** Longer than anything that the fixture issues. */
const A_LIFE = 4000
const MAX_STEPS = 20
