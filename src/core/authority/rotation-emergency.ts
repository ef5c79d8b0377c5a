import type { LateParty } from "./late-party.ts"
import { newAuthorityRefusal } from "./new-authority.ts"
import type { RefusedStep, RotationCommand, RotationOutcome, RotationRefusal, StepContext } from "./rotation-command.ts"
import type { Rotating, RotationState } from "./rotation-state.ts"
import { signatureRefusal, waiverOf } from "./rotation-waiver.ts"
import { lateForBundle, lateForExpiry } from "./safe-points.ts"

export type EmergencyCommand = RotationCommand & { readonly kind: "emergency" }

/**
 * Every authority of the kind leaves the bundle and a fresh one signs, at once and for everybody, whatever the phase: who stole one key
 * may have what was prepared beside it. Who holds something of any of them loses its trust until it has caught up, so the waiver must
 * name each of them. @see ROT-09 ROT-66 RINV-13 TM-04
 */
export function emergencyStep(state: RotationState, command: EmergencyCommand, context: StepContext): RotationOutcome {
  const refused = emergencyRefusal(state, command, context)
  if (refused !== undefined) return refused
  const { id, old, fresh, waiver } = command
  const [, ...others] = leavingNow(state, old)
  const reason = newAuthorityRefusal(fresh.next, fresh.notAfter, [old, ...others], context)
  if (reason !== undefined) return { kind: "refused", reason, late: [] }
  const { now, epoch } = context
  const late = lateForEmergency([old, ...others], context)
  const begun = state.phase === "stable" ? { id, startedAt: now, canary: NOBODY } : state
  const next: Rotating = {
    id: begun.id,
    startedAt: begun.startedAt,
    canary: begun.canary,
    ...{ phase: "retiring", since: now, epoch: epoch + 1, epochSince: now },
    ...{ old, others, next: fresh.next, keyId: fresh.keyId },
    ...{ emergency: true, auto: false, paused: false, stopped: undefined },
    // Nobody was left out of what is waited for from here on.
    waivers: [waiverOf(late, "sp1", waiver, context), waiverOf(late, "sp2", waiver, context)],
  }
  return { kind: "moved", what: "emergency", state: next }
}

/** Why an emergency cannot be declared, whatever is made for it; `undefined`: it can. */
export function emergencyRefusal(
  state: RotationState,
  { old, waiver, again }: Pick<EmergencyCommand, "old" | "waiver" | "again">,
  context: StepContext,
): RefusedStep | undefined {
  const refuse = (reason: RotationRefusal, late: readonly LateParty[] = []) =>
    ({ kind: "refused", reason, late }) as const
  if (state.phase !== "stable" && state.emergency && !again) return refuse("emergency-under-way")
  const leaving = leavingNow(state, old)
  if (leaving.length - 1 > MAX_OTHERS) return refuse("too-many-leave")
  const late = lateForEmergency(leaving, context)
  const isComplete = waiver.consumers === "all" || isSubset(late, new Set(waiver.consumers))
  const reason = signatureRefusal(waiver) ?? (isComplete ? undefined : "waiver-incomplete")
  return reason && refuse(reason, late)
}

function isSubset(late: readonly LateParty[], named: ReadonlySet<string>): boolean {
  return late.every(({ id }) => named.has(id))
}

/** Everything that an emergency would take out, what signs first. @param signing by the record */
export function leavingNow(state: RotationState, signing: string): readonly string[] {
  const there = "next" in state ? [state.old, ...state.others, state.next] : []
  return [signing, ...there.filter((name) => name !== signing)]
}

/** Everybody who cannot go on without a new SVID or a new bundle: the blast radius. @param leaving names of all that goes */
export function lateForEmergency(leaving: readonly string[], context: StepContext): readonly LateParty[] {
  const late = [
    ...lateForBundle(Number.MAX_SAFE_INTEGER, context.now, context),
    ...leaving.flatMap((authority) => lateForExpiry(authority, context)),
  ]
  const consumers = late.filter(({ kind }) => kind === "consumer") // what somebody holds says more, and comes last
  return [...new Map(consumers.map((party) => [party.id, party])).values()]
}

/** Each emergency that follows another before the end adds one. */
const MAX_OTHERS = 16
const NOBODY = { namespaces: [], prefixes: [] }
