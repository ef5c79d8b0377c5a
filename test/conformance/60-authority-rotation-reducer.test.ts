import assert from "node:assert/strict"
import { test } from "node:test"
import { rolesOf } from "../../src/core/authority/authority-roles.ts"
import { isCanary } from "../../src/core/authority/canary.ts"
import { lateUntil } from "../../src/core/authority/late-party.ts"
import type { RotationCommand } from "../../src/core/authority/rotation-command.ts"
import type { RotationState } from "../../src/core/authority/rotation-state.ts"
import { stepRotation } from "../../src/core/authority/rotation-step.ts"
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

const PUBLISHING = [START, KEYED, "advance"] as const
const ACTIVE = [...PUBLISHING, "advance", "advance"] as const
const DRAINING = [...ACTIVE, "advance"] as const
const BY = { by: "alice", reason: "incident 7" }

test("[ROT-01] [ROT-02] the phases come in order, and each says what is published and who signs", () => {
  const phases = []
  for (let count = 0; count <= 8; count++) {
    const state = after(START, KEYED, ...Array.from({ length: count }, () => "advance" as const))
    phases.push([state.phase, ...Object.values(rolesOf(state))].join(" "))
  }
  assert.deepEqual(phases, [
    "keyed active prepared",
    "publishing active published",
    "published active published",
    "active retired active",
    "draining retired active",
    "drained retired active",
    "retiring removed active",
    "retired removed active",
    "stable active ",
  ])
})

test("[ROT-02] refuses what does not fit the phase", () => {
  const calm = context([])
  assert.equal(refusalOf(stepRotation({ phase: "stable" }, { kind: "advance" }, calm)), "nothing-under-way")
  assert.equal(refusalOf(stepRotation(after(START), { kind: "advance" }, calm)), "wrong-phase")
  assert.equal(refusalOf(stepRotation(after(START, KEYED), KEYED, calm)), "wrong-phase")
})

test("[ROT-03] what is only seen goes on by itself; what has to be wanted waits for an operator, or is automatic", () => {
  const tick = { kind: "tick" } as const
  const both = context([], [replica({ epoch: 2 })])
  assert.equal(phaseOf(stepRotation(after(...PUBLISHING), tick, both)), "published")
  assert.equal(refusalOf(stepRotation(after(...PUBLISHING, "advance"), tick, both)), "needs-decision")
  const automatic = after({ ...START, auto: true }, KEYED, "advance", "advance")
  assert.equal(phaseOf(stepRotation(automatic, tick, both)), "active")
})

test("[ROT-03] canaries come first where there are any, for as long as they shall run", () => {
  const canary = { namespaces: ["canary"], prefixes: ["spiffe://prod.example/ns/shop"] }
  const state = after({ ...START, canary }, KEYED, "advance", "advance", "advance")
  assert.equal(state.phase, "canary")
  const question = context([], [replica({ epoch: 2 })])
  const soaking = { ...question, terms: { ...question.terms, canarySoak: 60 } }
  assert.deepEqual(lateOf(stepRotation(state, { kind: "advance" }, soaking)), ["canary soaking"])
  assert.equal(phaseOf(stepRotation(state, { kind: "advance" }, { ...soaking, now: NOW + 60 })), "active")
  assert.ok(isCanary(canary, { spiffeId: "spiffe://prod.example/x", namespace: "canary" }))
  assert.ok(isCanary(canary, { spiffeId: "spiffe://prod.example/ns/shop/sa/web", namespace: "shop" }))
  assert.ok(!isCanary(canary, { spiffeId: "spiffe://prod.example/ns/shopping", namespace: "shopping" }))
})

test("[ROT-06] goes back from canary to drained, and not once the old authority leaves the bundle", () => {
  for (const way of [ACTIVE, DRAINING, [...DRAINING, "advance"] as const]) {
    const outcome = stepRotation(after(...way), { kind: "rollback" }, context([]))
    assert.equal(phaseOf(outcome), "published")
  }
  const retiring = after(...DRAINING, "advance", "advance")
  assert.equal(refusalOf(stepRotation(retiring, { kind: "rollback" }, context([]))), "wrong-phase")
})

test("[ROT-07] an abort waits for what the new authority signed, and for replicas that may sign with it", () => {
  const published = after(...ACTIVE, "rollback")
  const abort = { kind: "abort" } as const
  const holder = consumer("web", { issuers: ["next"], notAfter: NOW + 100 })
  assert.deepEqual(lateOf(stepRotation(published, abort, context([holder], [replica({ epoch: 1 })]))), [
    "r1 replica-behind",
    "web holds-other",
    "unseen-holders unexpired",
  ])
  const later = context([holder], [replica({ epoch: 9, leaseUntil: NOW + 200 })], { now: NOW + 130 })
  assert.equal(phaseOf(stepRotation(published, abort, later)), "unpublishing")
  assert.equal(phaseOf(stepRotation(after(START, KEYED), abort, context([consumer("web")]))), "unpublishing")
})

test("[ROT-48] an abort with a waiver of everybody who holds something of the new authority does not wait for them", () => {
  const published = after(...ACTIVE, "rollback")
  const holder = consumer("web", { issuers: ["next"], notAfter: NOW + 100 })
  const abort = (waiver: object, replicas = [replica({ epoch: 9 })]) =>
    stepRotation(
      published,
      { kind: "abort", waiver: { ...BY, consumers: "all", ...waiver } },
      context([holder], replicas),
    )
  assert.equal(refusalOf(abort({ consumers: ["web"] })), "waiver-incomplete")
  assert.equal(refusalOf(abort({ by: "" })), "waiver-unsigned")
  assert.equal(refusalOf(abort({}, [replica({ epoch: 1 })])), "not-waivable")
  for (const outcome of [abort({}), abort({ consumers: ["web", "unseen-holders"] })]) {
    assert.equal(phaseOf(outcome), "unpublishing")
    assert.ok(outcome.kind === "moved" && outcome.state.phase === "unpublishing")
    const { point, consumers } = outcome.state.waivers.at(-1) ?? assert.fail()
    assert.deepEqual([point, consumers], ["unused", ["web", "unseen-holders"]])
  }
})

test("[ROT-08] a waiver names consumers that are late, with a name and a reason, for one safe point", () => {
  const state = after(...PUBLISHING)
  const late = context([consumer("web"), consumer("api", { epoch: 2 })], [replica({ epoch: 2 })])
  const waive = (waiver: object) =>
    stepRotation(state, { kind: "waive", waiver: { ...BY, consumers: ["web"], ...waiver } }, late)
  assert.equal(refusalOf(waive({ consumers: ["api"] })), "waiver-names-nobody")
  assert.equal(refusalOf(waive({ by: "" })), "waiver-unsigned")
  const outcome = waive({})
  assert.equal(phaseOf(outcome), "publishing")
  if (outcome.kind === "moved") assert.equal(phaseOf(stepRotation(outcome.state, { kind: "tick" }, late)), "published")
  const behind = context([], [replica({ epoch: 1 })])
  const ofReplica = { kind: "waive", waiver: { ...BY, consumers: ["r1"] } } as const
  assert.equal(refusalOf(stepRotation(state, ofReplica, behind)), "not-waivable")
})

test("[ROT-08] [ROT-48] a waiver of a thousand names reads each of them a few times, however many are late", () => {
  const rows = Array.from({ length: 1000 }, (_, i) => consumer(`web-${i}`, { issuers: ["next"] }))
  let reads = 0
  const names = new Proxy([...rows.map(({ id }) => id), "unseen-holders"], {
    get: (list, name, proxy): unknown => {
      if (typeof name === "string" && /^[0-9]+$/.test(name)) reads++
      return Reflect.get(list, name, proxy)
    },
  })
  const waiver = { ...BY, consumers: names }
  const late = context(rows, [replica({ epoch: 9 })])
  const waived = stepRotation(after(...PUBLISHING), { kind: "waive", waiver }, late)
  assert.equal(phaseOf(waived), "publishing")
  assert.equal(phaseOf(stepRotation(after(...ACTIVE, "rollback"), { kind: "abort", waiver }, late)), "unpublishing")
  assert.ok(reads < 10_000, `${reads} reads`)
})

test("[ROT-08] a waiver with a name that nobody has is refused whole; who is known and not late is no stranger", () => {
  const late = context([consumer("web"), consumer("api", { epoch: 2 })], [replica({ epoch: 2 })])
  const waive = (consumers: readonly string[] | "all") =>
    stepRotation(after(...PUBLISHING), { kind: "waive", waiver: { ...BY, consumers } }, late)
  const refused = waive(["web", "wbe", "ap"])
  assert.ok(refused.kind === "refused")
  assert.deepEqual([refused.reason, refused.strangers], ["waiver-names-strangers", ["wbe", "ap"]])
  for (const known of [["web", "api"], ["web", "unseen-readers"], "all"] as const) {
    const outcome = waive(known)
    assert.ok(outcome.kind === "moved" && outcome.state.phase === "publishing")
    assert.deepEqual(outcome.state.waivers.at(-1)?.consumers, ["web"])
  }
})

test("[ROT-08] a rollback ends every waiver: who was left out on the way is waited for when it is gone again", () => {
  const all = { kind: "waive", waiver: { ...BY, consumers: "all" } } as const
  const signed = [replica({ epoch: 9, signsWith: "next" })]
  const holders = context([consumer("web", { epoch: 9 })], signed)
  const step = (state: RotationState, command: RotationCommand) => {
    const outcome = stepRotation(state, command, holders)
    return outcome.kind === "moved" ? outcome.state : assert.fail(outcome.reason)
  }
  const published = step(step(after(...DRAINING), all), { kind: "rollback" })
  const draining = step(step(published, { kind: "advance" }), { kind: "tick" })
  assert.equal(draining.phase, "draining")
  assert.deepEqual(lateOf(stepRotation(draining, { kind: "tick" }, holders)), [
    "web holds-other",
    "unseen-holders unexpired",
  ])
})

test("[ROT-10] SP1 waits for holders, verifiers and replicas, and for unseen readers as long as they need", () => {
  const state = after(...PUBLISHING)
  const rows = [
    consumer("acked", { epoch: 2 }),
    consumer("slow"),
    consumer("gone", { live: false, epoch: 2 }),
    consumer("left", { grade: "lease", live: false }),
    consumer("mute", { grade: "lease" }),
    consumer("angry", { nackReason: "no" }),
    consumer("expired", { live: false, notAfter: NOW - 30 }),
    consumer("verifier", { spiffeId: undefined, notAfter: NOW - 99 }),
  ]
  const replicas = [replica(), replica({ id: "r2", leaseUntil: NOW - 30 })]
  const question = context(rows, replicas)
  const waiting = { ...question, terms: { ...question.terms, readerWait: 300 } }
  assert.deepEqual(lateOf(stepRotation(state, { kind: "advance" }, waiting)), [
    "slow not-acknowledged",
    "gone disconnected",
    "left disconnected",
    "mute never-acknowledges",
    "angry nack",
    "verifier not-acknowledged",
    "r1 replica-behind",
    "unseen-readers unseen-readers",
  ])
})

test("[ROT-11] SP2 waits for the last of what the old authority signed, with the skew, and for who signs with it", () => {
  const state = after(...DRAINING)
  const rows = [consumer("web", { notAfter: NOW + 50 })]
  const tick = { kind: "tick" } as const
  assert.deepEqual(lateOf(stepRotation(state, tick, context(rows))), [
    "web holds-other",
    "unseen-holders unexpired",
    "r1 replica-signs-other",
  ])
  const signed = [replica({ signsWith: "next", leaseUntil: NOW + 999 })]
  assert.equal(refusalOf(stepRotation(state, tick, context(rows, signed, { now: NOW + 79 }))), "late")
  assert.equal(phaseOf(stepRotation(state, tick, context(rows, signed, { now: NOW + 80 }))), "drained")
})

test("[ROT-12] SP3 waits until nobody trusts the old authority", () => {
  const state = after(...DRAINING, "advance", "advance")
  const tick = { kind: "tick" } as const
  const signed = [replica({ epoch: 9, signsWith: "next" })]
  assert.deepEqual(lateOf(stepRotation(state, tick, context([consumer("web")], signed))), ["web not-acknowledged"])
  assert.equal(phaseOf(stepRotation(state, tick, context([consumer("web", { epoch: 9 })], signed))), "retired")
})

test("[ROT-13] the late are named with the time by which the wait ends by itself", () => {
  const outcome = stepRotation(after(...PUBLISHING), { kind: "tick" }, context([consumer("web")], []))
  assert.ok(outcome.kind === "refused")
  assert.equal(lateUntil(outcome.late), NOW + 630)
  assert.equal(outcome.late[0]?.namespace, "shop")
  const endless = stepRotation(after(...PUBLISHING), { kind: "tick" }, context([]))
  assert.equal(endless.kind === "refused" && lateUntil(endless.late), undefined)
})

test("[ROT-13] who renews is waited for no longer than the last of the old authority lives, and nothing else is said", () => {
  const renewed = consumer("web", { issuers: ["old", "next"], notAfter: NOW + 600 })
  const question = context([renewed], [replica({ signsWith: "next" })])
  const lastExpiry = new Map([
    ["old", NOW + 60],
    ["next", NOW + 600],
  ])
  const outcome = stepRotation(
    after(...DRAINING),
    { kind: "tick" },
    { ...question, evidence: { ...question.evidence, lastExpiry } },
  )
  assert.deepEqual(lateOf(outcome), ["web holds-other", "unseen-holders unexpired"])
  assert.equal(outcome.kind === "refused" && lateUntil(outcome.late), NOW + 90)
})

test("[ROT-14] a pause holds up every step but the way back", () => {
  const paused = after(...ACTIVE, "pause")
  const calm = context([], [replica({ epoch: 9, signsWith: "next" })])
  assert.equal(refusalOf(stepRotation(paused, { kind: "tick" }, calm)), "paused")
  assert.equal(refusalOf(stepRotation(paused, { kind: "advance" }, calm)), "paused")
  assert.equal(phaseOf(stepRotation(paused, { kind: "rollback" }, calm)), "published")
  const resumed = stepRotation(paused, { kind: "resume", auto: true }, calm)
  assert.ok(resumed.kind === "moved" && resumed.state.phase === "active" && resumed.state.auto)
})

test("[RINV-06] one rotation at most is under way", () => {
  assert.equal(refusalOf(stepRotation(after(START), START, context([]))), "already-under-way")
})

test("[RINV-10] refuses an authority that lives less than six times as long as what it signs", () => {
  const short = { ...KEYED, notAfter: NOW + 3599 }
  assert.equal(refusalOf(stepRotation(after(START), short, context([]))), "too-short-lived")
  assert.equal(refusalOf(stepRotation(after(START), { ...KEYED, next: "old" }, context([]))), "same-authority")
})

test("[RINV-11] a consumer that refuses, or a failure, ends what is automatic; nothing else is lost", () => {
  const automatic = after({ ...START, auto: true }, KEYED, "advance")
  const angry = context([consumer("web", { nackReason: "bad bundle" })], [replica({ epoch: 2 })])
  for (const command of [{ kind: "tick" }, { kind: "fault", reason: "disk full" }] as const) {
    const outcome = stepRotation(automatic, command, angry)
    assert.ok(outcome.kind === "moved" && outcome.state.phase === "publishing" && !outcome.state.auto)
    assert.match(outcome.state.stopped ?? "", /web: bad bundle|disk full/)
  }
})

test("[RINV-12] nothing retires while anybody is late who was not waived", () => {
  const drained = after(...DRAINING, "advance")
  const signed = [replica({ epoch: 9, signsWith: "next" })]
  const late = context([consumer("web")], signed)
  assert.equal(refusalOf(stepRotation(drained, { kind: "advance" }, late)), "late")
  const waived = stepRotation(drained, { kind: "waive", waiver: { ...BY, consumers: "all" } }, late)
  assert.ok(waived.kind === "moved")
  assert.equal(phaseOf(stepRotation(waived.state, { kind: "advance" }, late)), "retiring")
})
