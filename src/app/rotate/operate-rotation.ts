import type { RotationCommand, RotationOutcome, WaiverRequest } from "../../core/authority/rotation-command.ts"
import type { CanarySelection } from "../../core/authority/rotation-state.ts"
import { IdentityError } from "../../core/errors.ts"
import { rootId } from "../authority/root-id.ts"
import { dropKey } from "./drop-key.ts"
import { makeRoot } from "./make-root.ts"
import type { Asking, RotateDeps } from "./rotate-deps.ts"
import { takeStep } from "./take-step.ts"

/** How a rotation is to go. */
export interface RotationWish {
  readonly auto: boolean
  readonly canary: CanarySelection
}

/** The verbs of operators, for the X.509 root. Each resolves once it is durable; what follows from it is the controller's. */
export interface OperateRotation {
  start(wish: RotationWish, asking: Asking): Promise<RotationOutcome>
  advance(asking: Asking): Promise<RotationOutcome>
  pause(asking: Asking): Promise<RotationOutcome>
  resume(auto: boolean, asking: Asking): Promise<RotationOutcome>
  rollback(asking: Asking): Promise<RotationOutcome>
  abort(asking: Asking): Promise<RotationOutcome>
  waive(waiver: WaiverRequest, asking: Asking): Promise<RotationOutcome>
  /** Makes the new root first, when there is none. */
  emergency(waiver: WaiverRequest, asking: Asking): Promise<RotationOutcome>
}

export function makeOperateRotation(deps: RotateDeps): OperateRotation {
  const simply = (kind: "pause" | "rollback") => (asking: Asking) => takeStep(deps, { kind }, asking)
  const start = (wish: RotationWish, asking: Asking) => takeStep(deps, startCommand(deps, wish), asking)
  return {
    start,
    advance: (asking) => advance(deps, { kind: "advance" }, asking),
    pause: simply("pause"),
    resume: (auto, asking) => takeStep(deps, { kind: "resume", auto }, asking),
    rollback: simply("rollback"),
    abort: async (asking) => {
      const before = deps.trust.record().rotations.x509
      const outcome = await takeStep(deps, { kind: "abort" }, asking)
      // A key may have been made that no record names.
      if (outcome.kind === "moved" && before.phase === "planned") await deps.keys.destroy(before.keyId)
      return outcome
    },
    waive: (waiver, asking) => takeStep(deps, { kind: "waive", waiver }, asking),
    emergency: async (waiver, asking) => {
      if (deps.trust.record().rotations.x509.phase === "stable") {
        await start({ auto: false, canary: { namespaces: [], prefixes: [] } }, asking)
      }
      await keyPlanned(deps, asking)
      return takeStep(deps, { kind: "emergency", waiver }, asking)
    },
  }
}

/** A step that may be the last one: then the key of the authority that goes is destroyed first, for good. @see ROT-12 */
export async function advance(
  deps: RotateDeps,
  command: RotationCommand & { readonly kind: "advance" | "tick" },
  asking: Asking,
): Promise<RotationOutcome> {
  await dropKey(deps, command)
  return takeStep(deps, command, asking)
}

/** Make the root of a rotation that is only planned so far. Nothing happens in another phase. */
export async function keyPlanned(deps: RotateDeps, asking: Asking): Promise<void> {
  const state = deps.trust.record().rotations.x509
  if (state.phase !== "planned") return
  const made = await makeRoot(deps, state)
  const outcome = await takeStep(deps, { kind: "keyed", next: rootId(made), notAfter: made.notAfter }, asking, made)
  if (outcome.kind === "refused" && outcome.reason !== "wrong-phase") {
    throw new IdentityError("conflict", `the new root cannot be used: ${outcome.reason}`, { reason: outcome.reason })
  }
}

/** @throws IdentityError `not-ready` */
function startCommand({ trust, random }: RotateDeps, { auto, canary }: RotationWish): RotationCommand {
  const active = trust.record().roots.find(({ state }) => state === "active")
  if (active === undefined) throw new IdentityError("not-ready", "no root authority is active")
  const tag = Buffer.from(random(8)).toString("hex")
  return { kind: "start", id: `rotation-${tag}`, old: rootId(active), keyId: `root-${tag}`, auto, canary }
}
