import type { Instant } from "../time.ts"

/** When roots rotate without anybody asking. */
export interface RotationSchedule {
  /** After this share of the root's life, above 0 and below 1. */
  readonly share: number
}

/** When the rotation of a root that lives from `notBefore` to `notAfter` is due. */
export function rotationDue(
  root: { readonly notBefore: Instant; readonly notAfter: Instant },
  { share }: RotationSchedule,
): Instant {
  return Math.floor(root.notBefore + (root.notAfter - root.notBefore) * share)
}
