import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Seconds } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { AuthorityUpdate, IdentityAuthority, Subscription } from "../../ports/identity-authority.ts"
import type { Random } from "../../ports/random.ts"
import type { Log } from "../../ports/telemetry.ts"
import { isRedaction, retryBoundsOf } from "./denial.ts"
import { retryDelay, uniform } from "./jitter.ts"

export interface FollowDeps {
  readonly authority: Pick<IdentityAuthority, "subscribe">
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** What is done with what the authority says. */
export interface Follower {
  /** @returns why it was refused, or `undefined` */
  adopt(update: AuthorityUpdate & { readonly kind: "snapshot" }): string | undefined
  renew(within: Seconds): void
  evict(reason: string): void
  /** @param key as bans name it */
  evictKey(key: string): void
  /** The stream failed; `takesAway`: the server says that there is no identity. */
  lost(error: IdentityError, takesAway: boolean): void
  /** The stream to report on, `undefined` while there is none. */
  attach(subscription: Subscription | undefined): void
}

/** How one stream ended. */
interface Ended {
  readonly adopted: boolean
  readonly evicted: boolean
  readonly error: IdentityError | undefined
}

/** Keep a subscription until `signal` aborts: back at once when the server closed it, backed off when it failed. @see AGT-17 */
export async function followAuthority(deps: FollowDeps, follower: Follower, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    const ended = await followOnce(deps, follower, signal)
    if (signal.aborted) return
    if (ended.error !== undefined && !ended.evicted) {
      deps.log.warn({ err: ended.error, code: ended.error.code }, "subscription lost")
      follower.lost(ended.error, isRedaction(ended.error))
    }
    // A stream that brought nothing, or an eviction, counts as a failure, lest the two sides spin.
    failures = ended.adopted && !ended.evicted ? 0 : failures
    const isCalm = ended.adopted && ended.error === undefined && !ended.evicted
    failures += isCalm ? 0 : 1
    await deps.clock.sleep(isCalm ? uniform(deps.random, 0, 500) : backOff(failures, ended, deps.random), signal)
  }
}

async function followOnce(deps: FollowDeps, follower: Follower, signal: AbortSignal): Promise<Ended> {
  const stop = new AbortController()
  const abort = (): void => stop.abort()
  signal.addEventListener("abort", abort)
  let adopted = false
  try {
    const subscription = deps.authority.subscribe(stop.signal)
    follower.attach(subscription)
    for await (const update of subscription.updates) {
      if (update.kind === "snapshot") adopted = answer(update, subscription, deps.log, follower) || adopted
      else if (update.kind === "renew") follower.renew(update.within)
      else if (update.kind === "evict-key") follower.evictKey(update.key)
      else {
        deps.log.warn({ reason: update.reason }, "evicted by the server")
        follower.evict(update.reason)
        return { adopted, evicted: true, error: undefined }
      }
    }
    return { adopted, evicted: false, error: undefined }
  } catch (thrown) {
    return { adopted, evicted: false, error: toIdentityError(thrown) }
  } finally {
    follower.attach(undefined)
    signal.removeEventListener("abort", abort)
    stop.abort()
  }
}

/** @returns whether the snapshot was adopted @see AGT-15 */
function answer(
  update: AuthorityUpdate & { readonly kind: "snapshot" },
  subscription: Subscription,
  log: Log,
  follower: Follower,
): boolean {
  const refusal = follower.adopt(update)
  if (refusal !== undefined) log.warn({ epoch: update.snapshot.epoch, refusal }, "snapshot refused")
  subscription.acknowledge(update.snapshot.epoch, refusal)
  return refusal === undefined
}

function backOff(failures: number, { error }: Ended, random: Random): number {
  const cause = error ?? new IdentityError("not-ready", "the stream ended")
  return retryDelay(failures, retryBoundsOf(cause), cause.retryAfter, undefined, random)
}
