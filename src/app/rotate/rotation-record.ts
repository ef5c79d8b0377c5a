import { isPublished, requiredEpoch, rolesOf } from "../../core/authority/authority-roles.ts"
import type { RotationState } from "../../core/authority/rotation-state.ts"
import type { AuthorityRecord, RootRecord } from "../../ports/authority-journal.ts"
import { rootId } from "../authority/root-id.ts"

/**
 * The record once the rotation of the root is in `state`: roles of the roots, and the epochs that follow. Revision aside, which
 * whoever writes it counts. @param made the new root, when it was just made @see ROT-01
 */
export function recordAfter(record: AuthorityRecord, state: RotationState, made?: RootRecord): AuthorityRecord {
  const roots = [...record.roots, ...(made === undefined ? [] : [made])].flatMap((root) => withRole(root, state))
  const epoch = "epoch" in state ? Math.max(record.epoch, state.epoch) : record.epoch
  const rotations = { ...record.rotations, x509: state }
  return { ...record, roots, epoch, rotations, requiredEpoch: requiredEpoch(state, record.requiredEpoch) }
}

function withRole(root: RootRecord, state: RotationState): readonly RootRecord[] {
  if (state.phase === "stable" || state.phase === "planned") {
    return root.state === "removed" || !isPublished(root.state) ? [] : [root]
  }
  const id = rootId(root)
  const { old, next } = rolesOf(state)
  const role = id === state.old ? old : id === state.next ? next : root.state
  return role === undefined ? [] : [{ ...root, state: role }]
}
