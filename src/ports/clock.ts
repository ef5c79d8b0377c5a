import type { Instant, Millis } from "../core/time.ts"

/** Time, injected so that tests own it. */
export interface Clock {
  /** Wall clock. */
  now(): Instant
  /** Monotonic, for measuring and for jumps of the wall clock; the origin means nothing. */
  monotonic(): Millis
  /** Resolves after `delay` or when `signal` aborts, whichever is first. Never rejects. */
  sleep(delay: Millis, signal: AbortSignal): Promise<void>
}
