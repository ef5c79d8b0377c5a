import { makeChangeSignal } from "../core/change-signal.ts"
import { type ErrorCode, IdentityError, toIdentityError } from "../core/errors.ts"
import type { Millis } from "../core/time.ts"
import type { Clock } from "../ports/clock.ts"
import type { Random } from "../ports/random.ts"
import { followStream } from "./follow-stream.ts"
import type { WorkloadOptions } from "./workload-options.ts"

/** The newest value of a stream, kept while the stream is away. */
export interface HeldValue<T> extends AsyncDisposable {
  /** @throws IdentityError `cancelled` once it is closed */
  current(): T
  /** Call `listener` at each change after now, until disposed of. What it throws is a problem, and keeps nobody else from hearing. */
  onChange(listener: (value: T) => void): Disposable
  /** Resolves at the next change, when `signal` aborts, or when this is closed. Never rejects. */
  changed(signal: AbortSignal): Promise<void>
  /** Aborts when this is closed. */
  readonly closed: AbortSignal
}

export interface HoldDeps {
  readonly clock: Clock
  readonly random: Random
}

export interface HoldTerms extends Pick<WorkloadOptions, "signal" | "onProblem"> {
  readonly deadline: Millis
}

/**
 * Follow a stream and hold its newest value, from its first one on. What `open` brings must have been checked.
 * @throws IdentityError the last problem, or `deadline`, when there is no value in time; at once for one that waiting does not
 * mend; `cancelled` when the signal aborts first @see CLT-01 CLT-02
 */
export async function holdNewest<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  terms: HoldTerms,
  deps: HoldDeps,
): Promise<HeldValue<T>> {
  const stop = new AbortController()
  const closed = terms.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, terms.signal])
  const changes = makeChangeSignal()
  const listeners = new Set<(value: T) => void>()
  const first = Promise.withResolvers<void>()
  let held: { readonly value: T } | undefined
  let problem: IdentityError | undefined
  const adopt = (value: T): void => {
    held = { value }
    first.resolve()
    for (const listener of listeners) tell(listener, value)
    changes.fire()
  }
  const tell = (listener: (value: T) => void, value: T): void => {
    try {
      listener(value)
    } catch (thrown) {
      terms.onProblem?.(toIdentityError(thrown))
    }
  }
  const failed = (error: IdentityError): void => {
    problem = error
    if (HOPELESS.has(error.code)) first.reject(error)
    terms.onProblem?.(error)
  }
  const following = followStream(open, adopt, { ...deps, failed }, closed)
  const close = async (): Promise<void> => {
    stop.abort()
    await following
    listeners.clear()
  }
  const decided = new AbortController()
  try {
    const until = AbortSignal.any([closed, decided.signal])
    await Promise.race([first.promise, deps.clock.sleep(terms.deadline, until)])
    if (held === undefined) throw closed.aborted ? CLOSED() : (problem ?? LATE())
  } catch (thrown) {
    await close()
    throw toIdentityError(thrown)
  } finally {
    decided.abort()
  }
  return {
    closed,
    current: () => {
      if (held === undefined || closed.aborted) throw CLOSED()
      return held.value
    },
    onChange: (listener) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    changed: (signal) => changes.changed(AbortSignal.any([signal, closed])),
    [Symbol.asyncDispose]: close,
  }
}

const CLOSED = () => new IdentityError("cancelled", "the source is closed")
const LATE = () => new IdentityError("deadline", "the Workload API did not answer in time")
/** The same question gets the same answer. */
const HOPELESS: ReadonlySet<ErrorCode> = new Set(["malformed", "unsupported"])
