import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"

/**
 * Run `task` for at most `limit`. It gets a signal that aborts then, or with `outer`; the result is rejected at once with
 * that signal's reason (`TimeoutError` at the deadline), whether the task listens or not.
 */
export async function withDeadline<T>(
  clock: Pick<Clock, "sleep">,
  limit: Millis,
  outer: AbortSignal,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limited = new AbortController()
  const done = new AbortController()
  const forward = () => limited.abort(outer.reason)
  if (outer.aborted) forward()
  outer.addEventListener("abort", forward, { once: true })
  void clock.sleep(limit, done.signal).then(() => limited.abort(new DOMException("deadline exceeded", "TimeoutError")))
  try {
    return await unlessAborted(task(limited.signal), limited.signal)
  } finally {
    outer.removeEventListener("abort", forward)
    done.abort()
  }
}

/** `promise`, or the reason of `signal` when that aborts first. The promise goes on by itself. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener("abort", abort, { once: true })
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener("abort", abort))
}
