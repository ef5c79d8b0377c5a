import type { Instant, Millis, Seconds } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Random } from "../../ports/random.ts"
import { uniform } from "./jitter.ts"

/**
 * When an SVID is to be renewed. The wall clock decides, and the monotonic one too, so that neither a suspended machine nor
 * a clock set back makes a renewal late.
 */
export interface RenewalSchedule {
  /** From here on it may join a batch that another one is due for. */
  readonly earliest: Instant
  readonly due: Instant
  readonly dueMonotonic: Millis
  /** How long before `due` it may join a batch. */
  readonly window: Seconds
}

/**
 * Renewal at a share, drawn from [0.4, 0.6], of the time from receipt to expiry. notBefore plays no part, so back-dating
 * cannot make a renewal loop. @see AGT-05 PIT-11
 */
export function scheduleRenewal(notAfter: Instant, clock: Clock, random: Random): RenewalSchedule {
  const received = clock.now()
  const life = Math.max(notAfter - received, 0)
  const wait = Math.floor(life * uniform(random, EARLIEST_SHARE, LATEST_SHARE))
  return {
    earliest: received + Math.ceil(life * EARLIEST_SHARE),
    due: received + wait,
    dueMonotonic: clock.monotonic() + wait * 1000,
    window: life * WINDOW_SHARE,
  }
}

/** The same schedule, but due at a moment drawn from the next `within` seconds when that is sooner. @see AGT-13 */
export function hastenRenewal(
  schedule: RenewalSchedule,
  within: Seconds,
  clock: Clock,
  random: Random,
): RenewalSchedule {
  const wait = Math.floor(uniform(random, 0, within))
  const due = clock.now() + wait
  if (due >= schedule.due) return schedule
  return { earliest: due, due, dueMonotonic: clock.monotonic() + wait * 1000, window: 0 }
}

export function isDue(schedule: RenewalSchedule, clock: Clock): boolean {
  return clock.now() >= schedule.due || clock.monotonic() >= schedule.dueMonotonic
}

/** True when it may be renewed now because another one is. @see AGT-06 */
export function mayJoin(schedule: RenewalSchedule, clock: Clock): boolean {
  return clock.now() >= schedule.earliest && schedule.due - clock.now() <= schedule.window
}

/** Time until {@link isDue} at the latest, if no clock jumps. */
export function untilDue(schedule: RenewalSchedule, clock: Clock): Millis {
  return Math.max(0, Math.min((schedule.due - clock.now()) * 1000, schedule.dueMonotonic - clock.monotonic()))
}

const EARLIEST_SHARE = 0.4
const LATEST_SHARE = 0.6
const WINDOW_SHARE = 0.1
