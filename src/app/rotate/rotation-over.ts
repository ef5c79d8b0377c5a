import { IdentityError } from "../../core/errors.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import type { Asking, StepDeps } from "./rotate-deps.ts"

/** Names how a rotation stands, in this incarnation, for requests that are good over that alone. @see ADM-23 */
export function rotationOver({ authority }: Pick<StepDeps, "authority">, record: AuthorityRecord): string {
  const { incarnation } = record
  const state = record.rotations[authority.kind]
  if (state.phase === "stable") return `${incarnation} stable ${authority.signing(record) ?? ""}`
  const { phase, id, since, auto, paused, stopped = "", waivers } = state
  return [incarnation, phase, id, since, auto, paused, stopped, waivers.length].join(" ")
}

/** @throws IdentityError `conflict`, reason `proposal-stale`, when the request was approved over something else */
export function refuseStale(deps: Pick<StepDeps, "authority">, record: AuthorityRecord, { over }: Asking): void {
  if (over === undefined || over === rotationOver(deps, record)) return
  throw new IdentityError("conflict", "what it was proposed over is no more", {
    reason: "proposal-stale",
    next: "look at how things stand (assay rotation status), and propose it anew",
  })
}
