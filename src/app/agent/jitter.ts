import type { Millis, Seconds } from "../../core/time.ts"
import type { Random } from "../../ports/random.ts"

/** A number drawn evenly from [from, to). */
export function uniform(random: Random, from: number, to: number): number {
  return from + (Buffer.from(random(6)).readUIntBE(0, 6) / 2 ** 48) * (to - from)
}

export interface RetryBounds {
  /** No try comes sooner than this after the last. */
  readonly floor: Millis
  readonly ceiling: Millis
}

/**
 * How long to wait before the next try: full jitter under an exponential ceiling. A server's hint is heeded.
 * @param failures tries that failed in a row, at least 1
 * @param atMost what the life of the SVID at stake leaves; `undefined` when nothing is held
 * @see AGT-08
 */
export function retryDelay(
  failures: number,
  bounds: RetryBounds,
  hint: Seconds | undefined,
  atMost: Millis | undefined,
  random: Random,
): Millis {
  const ceiling = Math.min(bounds.ceiling, bounds.floor * 2 ** Math.min(failures, 20))
  const drawn = uniform(random, 0, ceiling)
  const hinted = Math.min((hint ?? 0) * 1000, LONGEST_HINT)
  return Math.max(bounds.floor, Math.min(Math.max(drawn, hinted), atMost ?? Number.POSITIVE_INFINITY))
}

/** A server that cannot be reached or cannot answer. */
export const OUTAGE: RetryBounds = { floor: 500, ceiling: 30_000 }
/** A server that answered no. */
export const DENIAL: RetryBounds = { floor: 5_000, ceiling: 300_000 }
const LONGEST_HINT: Millis = 300_000
