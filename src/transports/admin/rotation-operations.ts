import type { DescribeRotation, RotationFacts, RotationForecast } from "../../app/rotate/describe-rotation.ts"
import type { OperateRotation } from "../../app/rotate/operate-rotation.ts"
import type { Asking } from "../../app/rotate/rotate-deps.ts"
import { callerText } from "../../core/admin/caller.ts"
import type { LateParty } from "../../core/authority/late-party.ts"
import type { RefusedStep, RotationOutcome, WaiverRequest } from "../../core/authority/rotation-command.ts"
import type { RotationKind, RotationState } from "../../core/authority/rotation-state.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import { type AdminCall, bindOperation, type Operation } from "./operation.ts"
import * as contracts from "./rotation-contracts.ts"

/** What the verbs of one kind of authority go to. */
export interface RotationUseCases {
  readonly operate: OperateRotation
  readonly describe: DescribeRotation
}

/** The verbs of the security team over the rotation of roots and of JWT keys. @see ROT-50 */
export function rotationOperations(rotations: Readonly<Record<RotationKind, RotationUseCases>>): readonly Operation[] {
  const about = {
    scope: () => ({ kind: "trust-domain" }) as const,
    over: ({ kind }: { readonly kind: RotationKind }) => rotations[kind].describe.over(),
  }
  const standingOf = async (kind: RotationKind) => {
    const facts = await rotations[kind].describe.status()
    return { ...facts, standing: standing(kind, facts.state, facts.now) }
  }
  const done = async (kind: RotationKind, step: Promise<RotationOutcome>) => {
    const outcome = await step
    if (outcome.kind === "refused") throw refusal(outcome)
    const { now } = await standingOf(kind)
    return { ...standing(kind, outcome.state, now), changed: true, ...lateReply([]) }
  }
  const tried = async (kind: RotationKind) => {
    const { standing: stands, next } = await standingOf(kind)
    return { ...stands, changed: false, ...lateReply(next?.late ?? []) }
  }
  const abortTried = async (kind: RotationKind) => {
    const { standing: stands, abort } = await standingOf(kind)
    return { ...stands, changed: false, ...lateReply(abort) }
  }
  const waiveTried = async (kind: RotationKind, consumers: WaiverRequest["consumers"]) => {
    const strangers = await rotations[kind].describe.strangers(consumers)
    if (strangers.length > 0) throw refusal({ kind: "refused", reason: "waiver-names-strangers", late: [], strangers })
    return tried(kind)
  }
  const waived = async (kind: RotationKind, consumers: WaiverRequest["consumers"], step: Promise<RotationOutcome>) => {
    const outcome = await step
    return { ...(await done(kind, step)), ...notWaived(consumers, outcome) }
  }
  const emergencyTried = async (kind: RotationKind) => {
    const { standing: stands } = await standingOf(kind)
    return { ...stands, changed: false, ...lateReply(await rotations[kind].describe.emergency()) }
  }
  const simple = (contract: typeof contracts.rotationAdvance, verb: "advance" | "pause" | "rollback") =>
    bindOperation(contract, {
      ...about,
      handle: ({ kind }, call) => (call.dryRun ? tried(kind) : done(kind, rotations[kind].operate[verb](asking(call)))),
    })
  return [
    bindOperation(contracts.rotationStatus, {
      // It names who is late.
      scope: () => ({ kind: "trust-domain" }),
      handle: async ({ kind }) => statusReply(kind, await rotations[kind].describe.status()),
    }),
    bindOperation(contracts.rotationPlan, {
      ...about,
      handle: async ({ kind }) => planReply(kind, await rotations[kind].describe.plan()),
    }),
    bindOperation(contracts.rotationStart, {
      ...about,
      target: ({ kind }) => kind,
      handle: async ({ kind, auto, canary_namespaces: namespaces, canary_prefixes: prefixes }, call) =>
        done(kind, rotations[kind].operate.start({ auto, canary: { namespaces, prefixes } }, asking(call))),
    }),
    simple(contracts.rotationAdvance, "advance"),
    simple(contracts.rotationPause, "pause"),
    bindOperation(contracts.rotationResume, {
      ...about,
      target: ({ kind }) => kind,
      handle: async ({ kind, auto }, call) => done(kind, rotations[kind].operate.resume(auto, asking(call))),
    }),
    simple(contracts.rotationRollback, "rollback"),
    bindOperation(contracts.rotationAbort, {
      ...about,
      target: ({ kind, reason }) => (reason === undefined ? kind : `${kind}: ${reason}`),
      handle: ({ kind, reason = "", consumers }, call) => {
        if (call.dryRun) return abortTried(kind)
        const waiver = consumers === undefined ? undefined : waiverOf({ reason, consumers }, call)
        return done(kind, rotations[kind].operate.abort(waiver, asking(call)))
      },
    }),
    bindOperation(contracts.rotationWaive, {
      ...about,
      target: ({ kind, reason }) => `${kind}: ${reason}`,
      handle: ({ kind, ...waiver }, call) =>
        call.dryRun
          ? waiveTried(kind, waiver.consumers)
          : waived(kind, waiver.consumers, rotations[kind].operate.waive(waiverOf(waiver, call), asking(call))),
    }),
    bindOperation(contracts.rotationEmergency, {
      ...about,
      target: ({ kind, reason }) => `${kind}: ${reason}`,
      handle: ({ kind, again, ...waiver }, call) =>
        call.dryRun
          ? emergencyTried(kind)
          : done(kind, rotations[kind].operate.emergency({ ...waiverOf(waiver, call), again }, asking(call))),
    }),
  ]
}

function asking({ caller, requestId, over }: AdminCall): Asking {
  return { actor: callerText(caller), requestId, ...(over === undefined ? {} : { over }) }
}

function waiverOf(
  { reason, consumers }: { readonly reason: string; readonly consumers: WaiverRequest["consumers"] },
  { caller }: AdminCall,
): WaiverRequest {
  return { by: callerText(caller), reason, consumers }
}

/** Says who is in the way, as far as one line holds. */
function refusal({ reason, late, strangers = [] }: RefusedStep): IdentityError {
  const waitedFor = late.map(({ id, reason: why }) => `${id} (${why})`)
  const whom = `${firstOf("nobody has the name", strangers)}${firstOf("waited for", waitedFor)}`
  return new IdentityError("conflict", `the rotation cannot do this now: ${reason}${whom}`, {
    reason,
    next: NEXT_STEPS[reason] ?? "see assay rotation status",
  })
}

function firstOf(what: string, names: readonly string[]): string {
  const rest = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : ""
  return names.length === 0 ? "" : `; ${what}: ${names.slice(0, MAX_NAMED).join(", ")}${rest}`
}

/** Who was named and is not in a waiver, since nobody waits for it now. */
function notWaived(consumers: WaiverRequest["consumers"], outcome: RotationOutcome) {
  if (consumers === "all" || outcome.kind === "refused" || outcome.state.phase === "stable") return {}
  const waived = new Set(outcome.state.waivers.flatMap((waiver) => waiver.consumers))
  const others = consumers.filter((name) => !waived.has(name))
  return others.length === 0 ? {} : { not_waived: others.slice(0, MAX_LATE) }
}

const NEXT_STEPS: Readonly<Record<string, string>> = {
  "nothing-under-way": "assay rotation start begins one",
  late: "assay rotation status names who is late and until when; wait, help them, or waive them",
  paused: "assay rotation resume",
  "emergency-under-way":
    "it is done, and assay rotation status shows the rest; --again makes one more authority, should that one be stolen, too",
  "too-many-leave": "assay rotation advance ends this rotation; if somebody is late, help or waive them first",
  "waiver-too-long":
    "a rotation keeps 20,000 consumers in one waiver and 64 waivers: name them in parts, by --consumer",
  "waiver-names-strangers":
    "nothing was waived; assay rotation status names who is late, and assay consumers list all there are",
  "waiver-names-nobody": "nobody waits for any of these now; assay rotation status names who is late",
  "waiver-incomplete": "the waiver must name everybody who would be left behind; --all takes whoever is late then",
}

function standing(kind: RotationKind, state: RotationState, now: Instant) {
  if (state.phase === "stable") return { now, kind, phase: state.phase }
  const { phase, id, old, since, startedAt, auto, stopped, paused, emergency } = state
  return {
    now,
    kind,
    phase,
    rotation: id,
    old,
    ...("next" in state ? { next: state.next, others: [...state.others] } : {}),
    since,
    started_at: startedAt,
    auto,
    ...(stopped === undefined ? {} : { stopped }),
    paused,
    emergency,
  }
}

function statusReply(kind: RotationKind, { now, state, next, waivers, consumers }: RotationFacts) {
  return {
    ...standing(kind, state, now),
    consumers,
    ...(next === undefined ? {} : { to: next.to, decision: next.decision }),
    ...(next?.point === undefined ? {} : { point: next.point }),
    ...lateReply(next?.late ?? []),
    ...(next?.until === undefined || next.until === 0 ? {} : { until: next.until }),
    waivers: waivers.map(({ unnamed = 0, ...one }) => ({ ...one, consumers: one.consumers.length + unnamed })),
  }
}

function planReply(kind: RotationKind, forecast: RotationForecast) {
  const { now, old, namespaces, silent, trustedBy, drainedBy, needsRestarts } = forecast
  return {
    now,
    kind,
    old,
    namespaces: namespaces.map(({ namespace, holders, neverAcknowledge }) => {
      return { namespace, holders, never_acknowledge: neverAcknowledge }
    }),
    silent_count: silent.length,
    silent: silent.slice(0, MAX_LATE).map(lateParty),
    ...(trustedBy === undefined ? {} : { trusted_by: trustedBy }),
    ...(drainedBy === undefined ? {} : { drained_by: drainedBy }),
    restart_readers: needsRestarts,
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
