import type { LateParty, SafePoint } from "./late-party.ts"
import type { StepContext } from "./rotation-command.ts"
import { hasCanary, type Rotating, type RotationPhase } from "./rotation-state.ts"
import {
  lateForBundle,
  lateForCanary,
  lateForExpiry,
  lateForSigning,
  lateForTrust,
  replicasBehind,
} from "./safe-points.ts"

/** What stands between a phase and the one after it. */
export interface Gate {
  readonly to: RotationPhase
  /** Somebody must want it; the others are taken as soon as they are seen. */
  readonly decision: boolean
  readonly point: SafePoint | undefined
  /** Who is waited for, those left out that were waived. @see RINV-12 */
  readonly late: readonly LateParty[]
}

/** The way forward from where `rotation` is. */
export function gateOf(rotation: Rotating, context: StepContext): Gate {
  const bundle = () => lateForBundle(rotation.epoch, rotation.epochSince, context)
  const trust = () => lateForTrust(rotation.epoch, rotation.epochSince, context)
  const expiry = () => lateForExpiry(rotation.old, context)
  const gate = (to: RotationPhase, decision: boolean, point: SafePoint, late: readonly LateParty[]): Gate => {
    return { to, decision, point, late: withoutWaived(rotation, point, late) }
  }
  switch (rotation.phase) {
    case "keyed":
      return { to: "publishing", decision: true, point: undefined, late: [] }
    case "publishing":
      return gate("published", false, "sp1", trust())
    case "published":
      return gate(hasCanary(rotation.canary) ? "canary" : "active", true, "sp1", trust())
    case "canary":
      return withSoak(gate("active", true, "sp1", trust()), rotation, context)
    case "active":
      return gate("draining", false, "signing", lateForSigning(rotation.next, context))
    case "draining":
      return gate("drained", false, "sp2", expiry())
    case "drained":
      return gate("retiring", true, "sp2", expiry())
    case "retiring":
      return gate("retired", false, "sp3", bundle())
    case "retired":
      return { to: "stable", decision: true, point: undefined, late: [] }
    case "unpublishing":
      return gate("stable", false, "sp3", bundle())
    default:
      return rotation.phase satisfies never
  }
}

/**
 * Who stands in the way of taking the new authority out of the bundle again: what it signed, and after a rollback each replica
 * that may not know of it and sign for canaries still. @see RINV-07
 */
export function lateForAbort(rotation: Rotating, context: StepContext): readonly LateParty[] {
  if (rotation.phase !== "publishing" && rotation.phase !== "published") return []
  const behind = rotation.phase === "published" ? replicasBehind(rotation.epoch, context) : []
  return [...behind, ...lateForExpiry(rotation.next, context)]
}

function withoutWaived(rotation: Rotating, point: SafePoint, late: readonly LateParty[]): readonly LateParty[] {
  const waived = new Set(rotation.waivers.flatMap((waiver) => (waiver.point === point ? waiver.consumers : [])))
  return late.filter(({ id, kind }) => kind === "replica" || !waived.has(id))
}

function withSoak(gate: Gate, rotation: Rotating, context: StepContext): Gate {
  const soaking = withoutWaived(rotation, "canary", lateForCanary(rotation.since, context))
  return { ...gate, late: [...gate.late, ...soaking] }
}
