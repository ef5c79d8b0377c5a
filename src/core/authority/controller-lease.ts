import type { Instant, Seconds } from "../time.ts"

/** Which process drives the rotations, and until when. */
export interface ControllerLease {
  readonly holder: string
  /** Fencing token: grows with each change of holder. */
  readonly token: number
  readonly until: Instant
}

/**
 * The lease that `holder` may write now, or why it does not: somebody else has it, or its own is good for a while. Every step of
 * a rotation is written over one revision anyway; the lease keeps two processes from working on the same one. @see RINV-06 INV-07
 */
export function claimLease(
  lease: ControllerLease | undefined,
  holder: string,
  now: Instant,
  life: Seconds,
): ControllerLease | "held" | "others" {
  const until = now + life
  if (lease === undefined) return { holder, token: 1, until }
  if (lease.holder === holder && lease.until > now) return lease.until - now > life / 2 ? "held" : { ...lease, until }
  return lease.until > now && lease.until <= until ? "others" : { holder, token: lease.token + 1, until }
}
