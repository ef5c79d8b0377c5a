import type { LateParty } from "./late-party.ts"
import { newAuthorityRefusal } from "./new-authority.ts"
import type {
  RotationChange,
  RotationCommand,
  RotationOutcome,
  RotationRefusal,
  StepContext,
  WaiverRequest,
} from "./rotation-command.ts"
import { emergencyStep } from "./rotation-emergency.ts"
import { gateOf, lateForAbort } from "./rotation-gate.ts"
import { type Planned, type Rotating, type RotationPhase, type RotationState, STABLE } from "./rotation-state.ts"
import { waiveAll, waiveStep } from "./rotation-waiver.ts"
import { refusing } from "./safe-points.ts"

/**
 * The state of a rotation after `command`, or why it stays as it is and who is waited for. Pure: what it says has to be written by
 * compare-and-swap on the record that it was decided over, and only then done. @see ROT-01..ROT-14 RINV-01..RINV-13
 */
export function stepRotation(state: RotationState, command: RotationCommand, context: StepContext): RotationOutcome {
  if (command.kind === "start") return start(state, command, context)
  if (command.kind === "emergency") return emergencyStep(state, command, context)
  if (state.phase === "stable") return refuse("nothing-under-way")
  switch (command.kind) {
    case "keyed":
      return keyed(state, command, context)
    case "advance":
      return state.phase === "planned" ? refuse("wrong-phase") : advance(state, context)
    case "tick":
      return state.phase === "planned" ? refuse("needs-decision") : tick(state, context)
    case "pause":
      return state.paused ? refuse("paused") : moved({ ...state, ...heldFrom(state, context), paused: true }, "pause")
    case "resume":
      return moved({ ...released(state, context), paused: false, auto: command.auto, stopped: undefined }, "resume")
    case "rollback":
      return state.phase === "planned" ? refuse("wrong-phase") : rollback(state, context)
    case "abort":
      return state.phase === "planned" ? moved(STABLE, "abort") : abort(state, command.waiver, context)
    case "waive":
      return state.phase === "planned" ? refuse("wrong-phase") : waiveStep(state, command.waiver, context)
    case "fault":
      return state.auto ? stop(state, command.reason, context) : refuse("needs-decision")
    default:
      return command satisfies never
  }
}

function start(
  state: RotationState,
  command: RotationCommand & { readonly kind: "start" },
  { now }: StepContext,
): RotationOutcome {
  if (state.phase !== "stable") return refuse("already-under-way")
  const { id, old, keyId, auto, canary } = command
  const common = { id, old, keyId, auto, canary, startedAt: now, since: now, stopped: undefined }
  return moved({ ...common, phase: "planned", paused: false, emergency: false, waivers: [] }, "start")
}

function keyed(
  state: Planned | Rotating,
  { next, notAfter }: RotationCommand & { readonly kind: "keyed" },
  context: StepContext,
): RotationOutcome {
  if (state.phase !== "planned") return refuse("wrong-phase")
  const reason = newAuthorityRefusal(next, notAfter, [state.old], context)
  if (reason !== undefined) return refuse(reason)
  const { now } = context
  return moved({ ...state, phase: "keyed", next, others: [], epoch: 0, epochSince: now, since: now }, "key")
}

function advance(state: Rotating, context: StepContext): RotationOutcome {
  if (state.paused) return refuse("paused")
  const gate = gateOf(state, context)
  return gate.late.length > 0 ? refuse("late", gate.late) : enter(state, gate.to, "advance", context)
}

/** A refusal of a consumer stops what is automatic before anything else. @see RINV-11 */
function tick(state: Rotating, context: StepContext): RotationOutcome {
  const against = refusing(context.evidence)[0]
  if (state.auto && against !== undefined)
    return stop(state, `refused by ${against.id}: ${against.nackReason ?? ""}`, context)
  if (state.paused) return refuse("paused")
  const gate = gateOf(state, context)
  if (gate.decision && !state.auto) return refuse("needs-decision", gate.late)
  return gate.late.length > 0 ? refuse("late", gate.late) : enter(state, gate.to, "advance", context)
}

/**
 * Both are trusted by everybody, so the old one may sign again at once; not once it began to leave the bundle. Who was not waited for
 * on the way is waited for when it is gone again. @see ROT-06 ROT-08
 */
function rollback(state: Rotating, context: StepContext): RotationOutcome {
  if (!SIGNED_BY_NEXT.includes(state.phase)) return refuse("wrong-phase")
  return enter({ ...state, auto: false, waivers: [] }, "published", "rollback", context, true)
}

/** @see ROT-07 ROT-48 RINV-07 */
function abort(state: Rotating, waiver: WaiverRequest | undefined, context: StepContext): RotationOutcome {
  if (state.phase === "keyed") return enter(state, "unpublishing", "abort", context, false)
  if (state.phase !== "publishing" && state.phase !== "published") return refuse("wrong-phase")
  const late = lateForAbort(state, context)
  if (late.length === 0) return enter(state, "unpublishing", "abort", context)
  const waived = waiver === undefined ? "late" : waiveAll(state, late, "unused", waiver, context)
  return typeof waived === "string" ? refuse(waived, late) : enter(waived, "unpublishing", "abort", context)
}

/** @param raise a new epoch comes with the phase; by default where the bundle changes */
function enter(
  state: Rotating,
  to: RotationPhase,
  what: RotationChange,
  { now, epoch }: StepContext,
  raise = CHANGES_BUNDLE.includes(to),
): RotationOutcome {
  if (to === "stable" || to === "planned") return moved(STABLE, what)
  const fresh = raise ? { epoch: epoch + 1, epochSince: now } : {}
  const { heldFor: _before, ...same } = state
  return moved({ ...same, phase: to, since: now, ...fresh }, what)
}

function stop(state: Planned | Rotating, reason: string, context: StepContext): RotationOutcome {
  return moved({ ...state, ...heldFrom(state, context), auto: false, stopped: reason.slice(0, MAX_REASON) }, "stop")
}

function heldFrom({ heldSince }: Planned | Rotating, { now }: StepContext) {
  return { heldSince: heldSince ?? now }
}

/** What was held up goes on where it was, and not where it would be by now. @see ROT-40 */
function released(state: Planned | Rotating, { now }: StepContext): Planned | Rotating {
  const { heldSince, ...same } = state
  const held = heldSince === undefined ? 0 : Math.max(0, now - Math.max(heldSince, state.since))
  return held === 0 ? same : { ...same, heldFor: (state.heldFor ?? 0) + held }
}

function moved(state: RotationState, what: RotationChange): RotationOutcome {
  return { kind: "moved", state, what }
}

function refuse(reason: RotationRefusal, late: readonly LateParty[] = []): RotationOutcome {
  return { kind: "refused", reason, late }
}

const CHANGES_BUNDLE: readonly RotationPhase[] = ["publishing", "retiring", "unpublishing"]
/** A rollback raises the epoch too, so that its acknowledgement says that a replica signs with the old one again. */
const SIGNED_BY_NEXT: readonly RotationPhase[] = ["canary", "active", "draining", "drained"]
const MAX_REASON = 1024
