import type { DescribeRotation, RotationFacts, RotationForecast } from "../../app/rotate/describe-rotation.ts"
import type { OperateRotation } from "../../app/rotate/operate-rotation.ts"
import type { Asking } from "../../app/rotate/rotate-deps.ts"
import { callerText } from "../../core/admin/caller.ts"
import type { LateParty } from "../../core/authority/late-party.ts"
import type { RotationOutcome, WaiverRequest } from "../../core/authority/rotation-command.ts"
import type { RotationState } from "../../core/authority/rotation-state.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import { type AdminCall, bindOperation, type Operation } from "./operation.ts"
import * as contracts from "./rotation-contracts.ts"

/** The verbs of the security team over the rotation of the root. @see ROT-50 */
export function rotationOperations(operate: OperateRotation, describe: DescribeRotation): readonly Operation[] {
  const scope = () => ({ kind: "trust-domain" }) as const
  const reply = async (outcome: RotationOutcome) => {
    if (outcome.kind === "refused") throw refusal(outcome)
    return { ...standing(outcome.state, (await describe.status()).now), changed: true, ...lateReply([]) }
  }
  const dryRun = async () => {
    const facts = await describe.status()
    return { ...standing(facts.state, facts.now), changed: false, ...lateReply(facts.next?.late ?? []) }
  }
  const emergencyDryRun = async () => {
    const { silent } = await describe.plan()
    const facts = await describe.status()
    return { ...standing(facts.state, facts.now), changed: false, ...lateReply(facts.next?.late ?? silent) }
  }
  const verb = (step: (asking: Asking) => Promise<RotationOutcome>) => async (call: AdminCall) =>
    call.dryRun ? dryRun() : reply(await step(asking(call)))
  return [
    bindOperation(contracts.rotationStatus, {
      scope: () => ({ kind: "none" }),
      handle: async () => statusReply(await describe.status()),
    }),
    bindOperation(contracts.rotationPlan, { scope, handle: async () => planReply(await describe.plan()) }),
    bindOperation(contracts.rotationStart, {
      scope,
      handle: async ({ auto, canary_namespaces: namespaces, canary_prefixes: prefixes }, call) =>
        reply(await operate.start({ auto, canary: { namespaces, prefixes } }, asking(call))),
    }),
    bindOperation(contracts.rotationAdvance, { scope, handle: (_, call) => verb((who) => operate.advance(who))(call) }),
    bindOperation(contracts.rotationPause, { scope, handle: (_, call) => verb((who) => operate.pause(who))(call) }),
    bindOperation(contracts.rotationResume, {
      scope,
      handle: async ({ auto }, call) => reply(await operate.resume(auto, asking(call))),
    }),
    bindOperation(contracts.rotationRollback, {
      scope,
      handle: (_, call) => verb((who) => operate.rollback(who))(call),
    }),
    bindOperation(contracts.rotationAbort, { scope, handle: (_, call) => verb((who) => operate.abort(who))(call) }),
    bindOperation(contracts.rotationWaive, {
      scope,
      target: ({ reason }) => reason,
      handle: (request, call) => verb((who) => operate.waive(waiverOf(request, call), who))(call),
    }),
    bindOperation(contracts.rotationEmergency, {
      scope,
      target: ({ reason }) => reason,
      handle: async (request, call) =>
        call.dryRun ? emergencyDryRun() : reply(await operate.emergency(waiverOf(request, call), asking(call))),
    }),
  ]
}

function asking({ caller, requestId }: AdminCall): Asking {
  return { actor: callerText(caller), requestId }
}

function waiverOf(
  { reason, consumers }: { readonly reason: string; readonly consumers: WaiverRequest["consumers"] },
  { caller }: AdminCall,
): WaiverRequest {
  return { by: callerText(caller), reason, consumers }
}

/** Says who is in the way, as far as one line holds. */
function refusal({ reason, late }: RotationOutcome & { readonly kind: "refused" }): IdentityError {
  const names = late.slice(0, MAX_NAMED).map(({ id, reason: why }) => `${id} (${why})`)
  const rest = late.length > MAX_NAMED ? ` and ${late.length - MAX_NAMED} more` : ""
  const whom = names.length === 0 ? "" : `; waited for: ${names.join(", ")}${rest}`
  return new IdentityError("conflict", `the rotation cannot do this now: ${reason}${whom}`, {
    reason,
    next: NEXT_STEPS[reason] ?? "see assay rotation status",
  })
}

const NEXT_STEPS: Readonly<Record<string, string>> = {
  "nothing-under-way": "assay rotation start begins one",
  late: "assay rotation status names who is late and until when; wait, help them, or waive them",
  paused: "assay rotation resume",
  "waiver-incomplete": "the waiver must name everybody who would be left behind; --all takes whoever is late then",
}

function standing(state: RotationState, now: Instant) {
  if (state.phase === "stable") return { now, phase: state.phase }
  const { phase, id, old, since, startedAt, auto, stopped, paused, emergency } = state
  return {
    now,
    phase,
    rotation: id,
    old,
    ...("next" in state ? { next: state.next } : {}),
    since,
    started_at: startedAt,
    auto,
    ...(stopped === undefined ? {} : { stopped }),
    paused,
    emergency,
  }
}

function statusReply({ now, state, next, waivers, consumers }: RotationFacts) {
  return {
    ...standing(state, now),
    consumers,
    ...(next === undefined ? {} : { to: next.to, decision: next.decision }),
    ...(next?.point === undefined ? {} : { point: next.point }),
    ...lateReply(next?.late ?? []),
    ...(next?.until === undefined || next.until === 0 ? {} : { until: next.until }),
    waivers: waivers.map((one) => ({ ...one, consumers: one.consumers.length })),
  }
}

function planReply({ now, old, namespaces, silent, trustedBy, drainedBy }: RotationForecast) {
  return {
    now,
    old,
    namespaces: namespaces.map(({ namespace, holders, neverAcknowledge }) => {
      return { namespace, holders, never_acknowledge: neverAcknowledge }
    }),
    silent_count: silent.length,
    silent: silent.slice(0, MAX_LATE).map(lateParty),
    ...(trustedBy === undefined ? {} : { trusted_by: trustedBy }),
    ...(drainedBy === undefined ? {} : { drained_by: drainedBy }),
  }
}

function lateReply(late: readonly LateParty[]) {
  return { late_count: late.length, late: late.slice(0, MAX_LATE).map(lateParty) }
}

function lateParty({ spiffeId, grade, until, ...same }: LateParty) {
  return { ...same, spiffe_id: spiffeId, grade: grade ?? "", ...(until === undefined ? {} : { until }) }
}

const MAX_LATE = 1000
const MAX_NAMED = 3
