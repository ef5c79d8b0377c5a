import type { Seconds } from "../../core/time.ts"
import type { Random } from "../../ports/random.ts"

/**
 * How long a stream that begins now may be open: drawn from nine tenths of `longest` to all of it, so that those which came together,
 * after an outage, do not come back together for ever. @see IDA-12
 */
export function drawStreamAge(longest: Seconds, random: Random): Seconds {
  return longest * (0.9 + (0.1 * (random(1)[0] ?? 0)) / 255)
}
