import { requiredEpoch } from "../../core/authority/authority-roles.ts"
import type { RotationKind, RotationState } from "../../core/authority/rotation-state.ts"
import type { Instant } from "../../core/time.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import { looseAfter } from "./loose-keys.ts"
import type { MadeAuthority, RotatedAuthority } from "./rotated-authority.ts"

/**
 * The record once the rotation is in `state`: roles of the authorities, and the epochs that follow. Revision aside, which whoever
 * writes it counts. @param made the new authority, when it was just made @see ROT-01
 */
export function recordAfter(
  record: AuthorityRecord,
  authority: Pick<RotatedAuthority, "kind" | "withRoles">,
  state: RotationState,
  now: Instant,
  made?: MadeAuthority,
): AuthorityRecord {
  const { looseKeys } = looseAfter(record, authority.kind, state)
  const loose = looseKeys === undefined ? {} : { looseKeys }
  const withMade = made === undefined ? record : made.addTo(record)
  const rotations = { ...record.rotations, [authority.kind]: state }
  const epoch = "epoch" in state ? Math.max(record.epoch, state.epoch) : record.epoch
  // Tokens are not delivered with the bundle that verifies them, so only certificates wait for one.
  const required = authority.kind === "x509" ? requiredEpoch(state, record.requiredEpoch) : record.requiredEpoch
  const after = { ...authority.withRoles(withMade, state, now), epoch, rotations, requiredEpoch: required }
  return { ...after, ...loose, ...emergencyEpochs(record, authority.kind, state) }
}

/** @see ROT-76 */
function emergencyEpochs(
  { emergencyEpochs: before }: AuthorityRecord,
  kind: RotationKind,
  state: RotationState,
): Pick<AuthorityRecord, "emergencyEpochs"> {
  if (state.phase === "retiring" && state.emergency) return { emergencyEpochs: { ...before, [kind]: state.epoch } }
  return before === undefined ? {} : { emergencyEpochs: before }
}
