import type { RotationCommand, RotationOutcome, WaiverRequest } from "../../core/authority/rotation-command.ts"
import {
  type CanarySelection,
  hasCanary,
  type Planned,
  type RotationState,
} from "../../core/authority/rotation-state.ts"
import { IdentityError } from "../../core/errors.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import { type DeclareEmergency, makeDeclareEmergency } from "./declare-emergency.ts"
import { dropKey } from "./drop-key.ts"
import type { Asking, RotateDeps } from "./rotate-deps.ts"
import { refuseStale } from "./rotation-over.ts"
import { signingNow } from "./signing-now.ts"
import { takeStep } from "./take-step.ts"

/** How a rotation is to go. */
export interface RotationWish {
  readonly auto: boolean
  readonly canary: CanarySelection
}

/** The verbs of operators, for one kind of authority. Each resolves once it is durable; what follows from it is the controller's. */
export interface OperateRotation {
  start(wish: RotationWish, asking: Asking): Promise<RotationOutcome>
  advance(asking: Asking): Promise<RotationOutcome>
  pause(asking: Asking): Promise<RotationOutcome>
  resume(auto: boolean, asking: Asking): Promise<RotationOutcome>
  rollback(asking: Asking): Promise<RotationOutcome>
  /** @param waiver names everybody who would be waited for, and is not then */
  abort(waiver: WaiverRequest | undefined, asking: Asking): Promise<RotationOutcome>
  waive(waiver: WaiverRequest, asking: Asking): Promise<RotationOutcome>
  readonly emergency: DeclareEmergency
}

export function makeOperateRotation(deps: RotateDeps): OperateRotation {
  const simply = (kind: "pause" | "rollback") => (asking: Asking) => takeStep(deps, { kind }, asking)
  return {
    start: async (wish, asking) => takeStep(deps, startCommand(deps, wish), asking),
    advance: (asking) => advance(deps, { kind: "advance" }, asking),
    pause: simply("pause"),
    resume: (auto, asking) => takeStep(deps, { kind: "resume", auto }, asking),
    rollback: simply("rollback"),
    abort: async (waiver, asking) => {
      const before = stateOf(deps)
      const outcome = await takeStep(deps, { kind: "abort", ...(waiver === undefined ? {} : { waiver }) }, asking)
      // A key may have been made that no record names.
      if (outcome.kind === "moved" && before.phase === "planned") {
        for (const keyId of deps.authority.plannedKeyIds(before.keyId)) await deps.keys.destroy(keyId)
      }
      return outcome
    },
    waive: (waiver, asking) => takeStep(deps, { kind: "waive", waiver }, asking),
    emergency: makeDeclareEmergency(deps),
  }
}

/** A step that may be the last one: then the key of the authority that goes is destroyed first, for good. @see ROT-12 */
export async function advance(
  deps: RotateDeps,
  command: RotationCommand & { readonly kind: "advance" | "tick" },
  asking: Asking,
): Promise<RotationOutcome> {
  refuseStale(deps, deps.trust.record(), asking)
  await dropKey(deps, command)
  return takeStep(deps, command, asking)
}

/** Make the new authority of a rotation that is only planned so far. Nothing happens in another phase, or while it is paused. */
export async function keyPlanned(deps: RotateDeps, asking: Asking): Promise<void> {
  const state = stateOf(deps)
  if (state.phase !== "planned" || state.paused) return
  const made = await deps.authority.make(state)
  const keyed = { kind: "keyed", next: made.id, notAfter: made.notAfter } as const
  const command = ({ rotations }: AuthorityRecord) => {
    demandSame(state, rotations[deps.authority.kind])
    return keyed
  }
  const outcome = await takeStep(deps, command, asking, made)
  if (outcome.kind === "refused" && outcome.reason !== "wrong-phase") {
    throw new IdentityError("conflict", `the new authority cannot be used: ${outcome.reason}`, {
      reason: outcome.reason,
    })
  }
  await deps.authority.follow()
}

/** What was made for one rotation is not for another that was started meanwhile. @throws IdentityError `conflict` */
function demandSame(planned: Planned, now: RotationState): void {
  if (now.phase !== "planned" || now.id === planned.id) return
  throw new IdentityError("conflict", "the rotation that it was made for is over; another was started")
}

/** @throws IdentityError `not-ready`, `unsupported` */
function startCommand({ authority, trust, random }: RotateDeps, { auto, canary }: RotationWish): RotationCommand {
  if (hasCanary(canary) && !authority.hasCanaries) {
    throw new IdentityError("unsupported", "JWT keys have no canaries: a key signs for everybody or for nobody")
  }
  const old = signingNow(authority, trust.record())
  const tag = Buffer.from(random(8)).toString("hex")
  return { kind: "start", id: `rotation-${tag}`, old, keyId: authority.keyId(tag), auto, canary }
}

function stateOf({ trust, authority }: RotateDeps): RotationState {
  return trust.record().rotations[authority.kind]
}
