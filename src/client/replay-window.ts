import { IdentityError } from "../core/errors.ts"
import type { Instant, Seconds } from "../core/time.ts"
import type { Clock } from "../ports/clock.ts"
import type { ReplayLog } from "../ports/replay-log.ts"

/**
 * Spent proofs of this process, in memory until they expire, at most 100,000. When it is full, proofs are refused rather than
 * forgotten.
 */
export function makeReplayWindow(clock: Pick<Clock, "now">): ReplayLog {
  const spent = new Map<string, Instant>()
  let sweptAt: Instant = Number.NEGATIVE_INFINITY
  /** At most once a second. */
  const sweep = (now: Instant): void => {
    if (now < sweptAt + (spent.size < MAX_SPENT ? SWEEP : 1)) return
    for (const [key, until] of spent) if (until <= now) spent.delete(key)
    sweptAt = now
  }
  return {
    claim: async ({ use, id, until }) => {
      const now = clock.now()
      sweep(now)
      const key = `${use} ${id}`
      if ((spent.get(key) ?? 0) > now) return "replayed"
      if (spent.size >= MAX_SPENT)
        throw new IdentityError("rate-limited", "too many proofs at a time", { retryAfter: 1 })
      spent.set(key, until)
      return "claimed"
    },
  }
}

const SWEEP: Seconds = 10
const MAX_SPENT = 100_000
