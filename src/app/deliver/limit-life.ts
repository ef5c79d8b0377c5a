import type { Millis } from "../../core/time.ts"

/** Aborts when its time has come; disposed before, it never does. */
export interface Life extends Disposable {
  readonly signal: AbortSignal
}

/**
 * The life of something that may end before: dispose it then. What follows an `AbortSignal.timeout` keeps it and its timer until its time
 * has come, so of streams that may live for a day, and end after a second, a day's worth would stay. @see IDA-14
 */
export function limitLife(longest: Millis): Life {
  const over = new AbortController()
  const end = () => over.abort(new DOMException("its time is over", "TimeoutError"))
  const timer = setTimeout(end, Math.min(Math.max(0, longest), MAX_TIMER)).unref()
  return { signal: over.signal, [Symbol.dispose]: () => clearTimeout(timer) }
}

/** Timers beyond this overflow. */
const MAX_TIMER: Millis = 2 ** 31 - 1
