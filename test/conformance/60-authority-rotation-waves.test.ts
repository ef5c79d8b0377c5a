import assert from "node:assert/strict"
import { test } from "node:test"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { openBanView } from "../../src/app/ban/ban-view.ts"
import { LiveStreams } from "../../src/app/ban/live-streams.ts"
import { makeWatchEntitlements, type SubscriberUpdate } from "../../src/app/deliver/entitlements.ts"
import { RenewOrders, wavePosition } from "../../src/app/deliver/renew-orders.ts"
import type { Holder } from "../../src/core/authority/holder.ts"
import { renewOrder } from "../../src/core/authority/renew-waves.ts"
import { stepRotation } from "../../src/core/authority/rotation-step.ts"
import { decideIdentities } from "../../src/core/policy/decide.ts"
import { attestedCaller } from "../support/attested-caller.ts"
import { pod } from "../support/evidence-under-test.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { fakeBundle } from "../support/fake-view.ts"
import { NEVER, x509Request } from "../support/issue-fixture.ts"
import { ALICE, openControlled, WISH } from "../support/rotation/controlled.ts"
import { after, context, KEYED, NOW, replica, START } from "../support/rotation/rows.ts"
import { rule, table } from "../support/rule-table.ts"

const TERMS = { share: 0.25, interval: 30 }
const ACTIVE = [START, KEYED, "advance", "advance", "advance"] as const

test("[ROT-40] waves grow by their share with each interval, and stay the same over a restart", () => {
  const state = after(...ACTIVE)
  const shares = [0, 29, 30, 60, 90, 900].map((passed) => renewOrder(state, NOW + passed, TERMS)?.share)
  assert.deepEqual(shares, [0.25, 0.25, 0.5, 0.75, 1, 1])
  assert.equal(renewOrder(after(START, KEYED), NOW, TERMS), undefined)
})

test("[ROT-41] holders are asked for a renewal while the bundle is published, and again once the new root signs", () => {
  const publishing = after(START, KEYED, "advance")
  assert.ok(publishing.phase === "publishing")
  assert.deepEqual(renewOrder(publishing, NOW, TERMS), {
    rotation: "r-1/bundle",
    wants: "bundle",
    share: 0.25,
    within: 30,
  })
  assert.equal(renewOrder({ ...publishing, paused: true }, NOW, TERMS), undefined)
  const active = after(...ACTIVE)
  assert.ok(active.phase === "active")
  assert.equal(renewOrder(active, NOW, TERMS)?.rotation, "r-1")
  assert.equal(renewOrder({ ...active, phase: "retiring" }, NOW, TERMS)?.rotation, "r-1/last-bundle")
})

test("[ROT-40] a pause and a failure hold the waves up; an emergency asks everybody at once", () => {
  const state = after(...ACTIVE)
  assert.ok(state.phase === "active")
  assert.equal(renewOrder({ ...state, paused: true }, NOW, TERMS), undefined)
  assert.equal(renewOrder({ ...state, stopped: "refused by web" }, NOW, TERMS), undefined)
  const emergency = { ...state, phase: "retiring", emergency: true } as const
  assert.deepEqual(renewOrder(emergency, NOW, TERMS), {
    rotation: "r-1/next",
    wants: "certificate",
    share: 1,
    within: 1,
  })
})

test("[ROT-40] after a pause or a failure the waves go on from the one that they were at, and not with everybody", () => {
  const automatic = after({ ...START, auto: true }, KEYED, "advance", "advance", "advance")
  const at = (passed: number) => context([], [replica({ epoch: 9 })], { now: NOW + passed })
  for (const hold of [{ kind: "pause" }, { kind: "fault", reason: "disk full" }] as const) {
    const held = stepRotation(automatic, hold, at(40))
    assert.ok(held.kind === "moved")
    const resumed = stepRotation(held.state, { kind: "resume", auto: true }, at(3640))
    assert.ok(resumed.kind === "moved")
    const shares = [3640, 3659, 3660, 3690].map((passed) => renewOrder(resumed.state, NOW + passed, TERMS)?.share)
    assert.deepEqual(shares, [0.5, 0.5, 0.75, 1])
    // Of the next phase they begin with the first.
    const signed = context([], [replica({ epoch: 9, signsWith: "next", leaseUntil: NOW + 9999 })], { now: NOW + 3700 })
    const next = stepRotation(resumed.state, { kind: "tick" }, signed)
    assert.ok(next.kind === "moved" && next.state.phase === "draining")
    assert.equal(renewOrder(next.state, NOW + 3700, TERMS)?.share, 0.25)
  }
})

test("[ROT-40] a stream is asked once, when its wave comes, and is told of snapshots meanwhile", async () => {
  const renewals = new RenewOrders()
  const caller = attestedCaller({})
  const position = wavePosition(caller.claims)
  const stop = new AbortController()
  const clock = new FakeClock(NOW)
  const bans = await openBanView({
    log: openMemoryStore().banLog,
    clock,
    steady: () => true,
    onReadFailed: assert.ifError,
  })
  const rules = table([rule({ name: "default", spiffeId: "/ns/{{namespace}}/sa/{{service_account}}" })])
  let change = Promise.withResolvers<void>()
  const watch = makeWatchEntitlements({
    attest: async () => caller,
    decide: (attested) => decideIdentities(attested, rules),
    snapshot: () => ({ epoch: 1, incarnation: "i", own: fakeBundle("prod.example"), federated: [] }),
    changed: () => change.promise,
    now: () => caller.claims.expiresAt - 60,
    renewals,
    bans,
    refused: assert.ifError,
    streams: new LiveStreams(bans, { clock, events: { propagated: () => undefined }, keyHolders: NO_KEYS }),
    keyHolders: NO_KEYS,
  })
  const updates = watch("token", () => undefined, stop.signal)
  const next = async (): Promise<SubscriberUpdate | undefined> => (await updates.next()).value ?? undefined
  assert.equal((await next())?.kind, "snapshot")
  let pending = next()
  renewals.set({ rotation: "r-1", wants: "certificate", share: position, within: 30 }) // just not yet
  renewals.set({ rotation: "r-1", wants: "certificate", share: 1, within: 30 })
  assert.deepEqual(await pending, { kind: "renew", within: 30 })
  pending = next()
  renewals.set({ rotation: "r-1", wants: "certificate", share: 0.99, within: 30 }) // asked already
  const before = change
  change = Promise.withResolvers()
  before.resolve()
  assert.equal((await pending)?.kind, "snapshot")
  pending = next()
  renewals.set({ rotation: "r-2", wants: "certificate", share: 1, within: 1 })
  assert.deepEqual(await pending, { kind: "renew", within: 1 })
  renewals.set({ rotation: "r-3", wants: "certificate", share: 1, within: 2 }) // while the reader still has the one before
  assert.deepEqual(await next(), { kind: "renew", within: 2 })
  stop.abort()
})

test("[ROT-47] a holder that renewed is not asked again when it comes back; one that did not, is", () => {
  const renewals = new RenewOrders()
  const [web, other] = [pod("web-0"), pod("web-1")]
  const isAsked = (holder: Holder) => renewals.orderFor(holder) !== undefined
  renewals.set({ rotation: "r-1/bundle", wants: "bundle", share: 1, within: 30 })
  renewals.renewed(web, true)
  assert.ok(isAsked(web), "a renewal of before it was asked may be of another identity")
  renewals.asked(web)
  renewals.asked(other)
  renewals.renewed(web, false)
  assert.ok(isAsked(web), "it did not quote the newest bundle")
  renewals.renewed(web, true)
  assert.deepEqual([isAsked(web), isAsked(other)], [false, true])
  renewals.set({ rotation: "r-1", wants: "certificate", share: 0.2, within: 30 })
  assert.ok(isAsked(web), "what is wanted is another thing")
  renewals.asked(web)
  renewals.renewed(web, false)
  assert.equal(isAsked(web), false)
})

test("[ROT-40] the machine gives the order when the new root signs, and takes it back", async () => {
  const it = await openControlled({ rows: [] })
  await it.fixture.issueX509(x509Request(), NEVER)
  await it.operate.start(WISH, ALICE)
  assert.equal(await it.controller.drive(), "draining")
  assert.equal(it.renewals.order?.share, 0.2)
  await it.operate.rollback(ALICE)
  await it.controller.drive()
  assert.equal(it.renewals.order, undefined)
})

const NO_KEYS = { bansOf: () => [], learn: async () => undefined }
