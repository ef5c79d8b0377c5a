import { IdentityError } from "../../core/errors.ts"
import { makePerTurn } from "../../core/per-turn.ts"
import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import { unlessAborted } from "../attest/with-deadline.ts"
import type { ClockGuard } from "../issue/clock-guard.ts"

/**
 * What `take` yields: at once, or while what it takes is being replaced, as soon as the replacement is there. `take` is asked again then,
 * so that nobody gets what was good before the wait. @throws what `take` throws: also the refusal of {@link beingReplaced} when the
 * replacement fails or takes too long, when too many wait, and right after a failure; the reason of `signal` when it aborts first; IdentityError
 * `not-ready` when the clock jumped meanwhile @see AUT-14 AUT-15
 */
export type WhenReplaced = <T>(take: () => T, signal: AbortSignal) => T | Promise<T>

export interface ReplacementDeps {
  /** Put what the record says in place of what is there. Whoever drives rotations calls it as well, and tells of its failures. */
  readonly follow: () => Promise<void>
  /** What is there is what the record says. */
  readonly isDone: () => boolean
  readonly guard: Pick<ClockGuard, "demand">
  readonly clock: Pick<Clock, "monotonic" | "sleep">
}

/** What `take` of {@link WhenReplaced} throws so that it is waited for, and what its caller sees when that was in vain. */
export function beingReplaced(message: string): IdentityError {
  return new IdentityError("not-ready", message, { retryAfter: 1, reason: BEING_REPLACED })
}

/** One replacement at a time, for all who wait. */
export function makeWhenReplaced(deps: ReplacementDeps): WhenReplaced {
  const { clock } = deps
  const turn = makePerTurn(PER_TURN)
  let underWay: { readonly over: Promise<void>; isLate: boolean } | undefined
  let [waiting, restUntil] = [0, 0]
  const begin = () => {
    const settled = new AbortController()
    const work = followToTheEnd(deps).then((isDone) => {
      if (!isDone) restUntil = clock.monotonic() + REST
      underWay = undefined
      settled.abort()
    })
    const late = clock.sleep(LONGEST_WAIT, settled.signal).then(() => {
      begun.isLate = true
    })
    const begun = { over: Promise.race([work, late]), isLate: false }
    return begun
  }
  const refuses = () => underWay?.isLate === true || waiting >= MOST_WAIT || clock.monotonic() < restUntil
  const wait = async <T>(take: () => T, signal: AbortSignal): Promise<T> => {
    underWay ??= begin()
    waiting++
    try {
      await unlessAborted(underWay.over.then(turn), signal)
    } finally {
      waiting--
    }
    deps.guard.demand()
    return take()
  }
  return (take, signal) => {
    try {
      return take()
    } catch (thrown) {
      if (!isBeingReplaced(thrown) || refuses()) throw thrown
      return wait(take, signal)
    }
  }
}

/** Resolves to whether it is done. The record may change meanwhile, and what was made for the one before is not taken then. Never rejects. */
async function followToTheEnd({ follow, isDone }: ReplacementDeps): Promise<boolean> {
  for (let tries = 0; tries < MAX_TRIES && !isDone(); tries++) await follow().catch(() => undefined)
  return isDone()
}

function isBeingReplaced(thrown: unknown): boolean {
  return thrown instanceof IdentityError && thrown.reason === BEING_REPLACED
}

const BEING_REPLACED = "being-replaced"
/** Counted from the begin of the replacement. It takes milliseconds; on a server that thousands ask at the same time, up to a second. */
const LONGEST_WAIT: Millis = 5000
/** As many as `limits.global_burst` lets come at once by default; each is a request that is held in memory. */
const MOST_WAIT = 20_000
/** Who waited goes on in steps of some milliseconds. */
const PER_TURN = 64
const MAX_TRIES = 3
/** After a failure, nobody waits for so long. */
const REST: Millis = 1000
