import type { Instant, Seconds } from "../../core/time.ts"
import type { ReplayLog } from "../../ports/replay-log.ts"

/**
 * `log`, where proofs that may have been used before it was restored count as used: what was spent after the backup is not in it.
 * @param restoredAt `undefined`: it never was @see STO-35
 */
export function makeReplayLogSince(log: ReplayLog, restoredAt: Instant | undefined): ReplayLog {
  if (restoredAt === undefined) return log
  return {
    claim: async (claim) => {
      const saysWhen = claim.from > 0
      const isOld = claim.from <= restoredAt && (saysWhen || claim.until <= restoredAt + LONGEST)
      return isOld ? "replayed" : log.claim(claim)
    },
  }
}

/** No proof that says nothing of its beginning is taken to live longer, so those are good again after it. */
const LONGEST: Seconds = 86_400
