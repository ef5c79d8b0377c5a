import { gateOf } from "../../core/authority/rotation-gate.ts"
import { stepRotation } from "../../core/authority/rotation-step.ts"
import { destroyLeft } from "./loose-keys.ts"
import type { RotateDeps } from "./rotate-deps.ts"
import { contextOf } from "./take-step.ts"

/**
 * When `command` would end the rotation, destroy the keys of what is out of the bundle: nobody trusts it any more, and there is no way
 * back from here. Before the record forgets their names, so that a crash in between leaves no key behind.
 */
export async function dropKey(deps: RotateDeps, command: { readonly kind: "advance" | "tick" }): Promise<void> {
  const record = deps.trust.record()
  const state = record.rotations[deps.authority.kind]
  if (state.phase !== "retired" && state.phase !== "unpublishing") return
  const context = await contextOf(deps, record)
  const outcome = stepRotation(state, command, context)
  if (outcome.kind !== "moved" || outcome.state.phase !== "stable" || gateOf(state, context).to !== "stable") return
  for (const keyId of deps.authority.removedKeyIds(record)) await deps.keys.destroy(keyId)
  await destroyLeft(deps)
}
