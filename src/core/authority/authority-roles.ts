import type { RotationState } from "./rotation-state.ts"

/**
 * What an authority is for. `prepared`: made, and nobody was told. `published`: trusted, and signs nothing, or for canaries.
 * `active`: signs. `retired`: trusted, and signs no more. `removed`: trusted no more, its key is still there.
 */
export type AuthorityRole = "prepared" | "published" | "active" | "retired" | "removed"

/** The roles of both authorities of a rotation. `undefined`: there is no such authority, or not any more. */
export interface AuthorityRoles {
  readonly old: AuthorityRole | undefined
  readonly next: AuthorityRole | undefined
}

/**
 * What the phase makes of both authorities. Before a rotation, and after one that was given up, there is only the old one.
 * @param state where there are both @see ROT-01
 */
export function rolesOf(state: RotationState): AuthorityRoles {
  switch (state.phase) {
    case "stable":
    case "planned":
      return { old: "active", next: undefined }
    case "keyed":
      return { old: "active", next: "prepared" }
    case "publishing":
    case "published":
    case "canary":
      return { old: "active", next: "published" }
    case "active":
    case "draining":
    case "drained":
      return { old: "retired", next: "active" }
    case "retiring":
    case "retired":
      return { old: "removed", next: "active" }
    case "unpublishing":
      return { old: "active", next: "removed" }
    default:
      return state satisfies never
  }
}

/**
 * Which of both an authority is in a rotation; `undefined`: it is not about it. After an emergency everything but the fresh one is what
 * leaves. @param is whether it goes by this name
 */
export function partIn(state: RotationState, is: (name: string) => boolean): "old" | "next" | undefined {
  if (!("next" in state)) return undefined
  if (is(state.next)) return "next"
  return state.emergency || is(state.old) ? "old" : undefined
}

/** Whether verifiers are told to trust it. */
export function isPublished(role: AuthorityRole): boolean {
  return role === "published" || role === "active" || role === "retired"
}

/**
 * The epoch of a bundle that verifies everything that is signed now or in the next phase, whoever signs it: no SVID may reach its
 * holder before that bundle has. It grows with the bundle of both authorities, long before the new one signs, so that at SP1 no
 * replica is left that hands out SVIDs without it. @param before what it was until now @see RINV-04
 */
export function requiredEpoch(state: RotationState, before: number): number {
  const isNew = state.phase === "publishing" || (state.phase === "retiring" && state.emergency)
  return isNew ? Math.max(before, state.epoch) : before
}

/**
 * The role of an authority that had `role`, once the rotation is in `state`; `undefined`: it is forgotten. One that the rotation is
 * not about stays what it is, and so does everything that is published when there is none. @see ROT-01
 */
export function roleIn(
  state: RotationState,
  role: AuthorityRole,
  part: "old" | "next" | undefined,
): AuthorityRole | undefined {
  if (state.phase === "stable" || state.phase === "planned") return isPublished(role) ? role : undefined
  return part === undefined ? role : rolesOf(state)[part]
}
