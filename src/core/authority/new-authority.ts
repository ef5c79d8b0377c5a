import type { Instant } from "../time.ts"
import type { RotationRefusal, StepContext } from "./rotation-command.ts"

/** Why a new authority cannot take the place of those that are there; `undefined`: it can. @see RINV-09 RINV-10 */
export function newAuthorityRefusal(
  next: string,
  notAfter: Instant,
  there: readonly string[],
  { now, terms }: StepContext,
): RotationRefusal | undefined {
  if (there.includes(next)) return "same-authority"
  return notAfter - now < SVID_LIVES * terms.maxSvidTtl ? "too-short-lived" : undefined
}

/** @see RINV-10 */
export const SVID_LIVES = 6
