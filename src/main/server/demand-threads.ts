import type { IdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"

/**
 * Resolves when `signal` aborts. @param failures of threads that are never started again
 * @throws IdentityError the first of them: nothing is issued any more until the process is started anew @see IDA-34
 */
export async function demandThreads(
  failures: readonly (() => IdentityError | undefined)[],
  clock: Pick<Clock, "sleep">,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(LOOK_EVERY, signal)
    const failure = failures.map((failureOf) => failureOf()).find((one) => one !== undefined)
    if (failure !== undefined && !signal.aborted) throw failure
  }
}

const LOOK_EVERY: Millis = 1000
