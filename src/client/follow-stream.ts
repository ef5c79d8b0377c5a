import { type RetryBounds, retryDelay } from "../app/agent/jitter.ts"
import { IdentityError, toIdentityError } from "../core/errors.ts"
import type { Clock } from "../ports/clock.ts"
import type { Random } from "../ports/random.ts"

export interface FollowDeps {
  readonly clock: Pick<Clock, "sleep">
  readonly random: Random
  /** Told of each failure; the stream is opened again after it. */
  readonly failed: (error: IdentityError) => void
}

/**
 * Take every value of a stream that is opened again whenever it fails, ends, or brings what `adopt` refuses: after 0.1 s to
 * 5 s, exponential with full jitter. Resolves once `signal` aborts; never rejects. @see CLT-02
 */
export async function followStream<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  adopt: (value: T) => void,
  { clock, random, failed }: FollowDeps,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    let error = new IdentityError("not-ready", "the Workload API has ended the stream")
    try {
      for await (const value of open(signal)) {
        adopt(value)
        failures = 0
      }
    } catch (thrown) {
      error = toIdentityError(thrown)
    }
    if (signal.aborted) return
    failures++
    failed(error)
    await clock.sleep(retryDelay(failures, RECONNECT, error.retryAfter, undefined, random), signal)
  }
}

const RECONNECT: RetryBounds = { floor: 100, ceiling: 5_000 }
