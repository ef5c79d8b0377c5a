import { IdentityError } from "../../core/errors.ts"
import type { Millis, Seconds } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"

/** Whether the wall clock can be dated by. @see INV-21 */
export interface ClockGuard {
  /** Look at the clock. False after a jump, until {@link makeClockGuard} says otherwise. */
  steady(): boolean
  /** @throws IdentityError `not-ready`, reason `clock-jumped`, unless {@link steady} */
  demand(): void
}

/**
 * Compares the wall clock with the monotonic one. A jump of more than 30 s means that nothing is signed, destroyed or
 * forgotten: until the clock is back where it was or, when it jumped forward (which is what a suspended machine looks like),
 * until it has stayed there for a minute. A clock that was set back is never believed, since that would bring
 * what has expired to life again: it must catch up, or the process be started anew. Slow drift is followed once an hour.
 */
export function makeClockGuard(clock: Pick<Clock, "now" | "monotonic">): ClockGuard {
  const look = (): Sighting => {
    const since = clock.monotonic()
    return { offset: clock.now() - since / 1000, since }
  }
  let trusted = look()
  let doubtful: Sighting | undefined
  const steady = (): boolean => {
    const seen = look()
    const moved = seen.offset - trusted.offset
    if (Math.abs(moved) <= TOLERANCE) {
      doubtful = undefined
      if (seen.since - trusted.since >= FOLLOW_EVERY) trusted = seen
      return true
    }
    if (doubtful === undefined || Math.abs(seen.offset - doubtful.offset) > TOLERANCE) doubtful = seen
    if (moved < 0 || seen.since - doubtful.since < SETTLE) return false
    trusted = seen
    doubtful = undefined
    return true
  }
  return {
    steady,
    demand: () => {
      if (steady()) return
      throw clockJumped()
    },
  }
}

/** What {@link ClockGuard.demand} throws. */
export function clockJumped(): IdentityError {
  return new IdentityError("not-ready", "the server's clock jumped; nothing is signed until it can be trusted", {
    reason: "clock-jumped",
    retryAfter: RETRY_AFTER,
  })
}

/** By how much the wall clock was ahead of the monotonic one, and the moment (monotonic) that was seen first. */
interface Sighting {
  readonly offset: Seconds
  readonly since: Millis
}

const TOLERANCE: Seconds = 30
const SETTLE: Millis = 60_000
/** NTP slews a clock by at most 1.8 s in this time. */
const FOLLOW_EVERY: Millis = 3_600_000
const RETRY_AFTER: Seconds = 30
