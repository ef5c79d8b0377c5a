import type { PublishedDocument } from "../../core/oauth/publication.ts"
import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { PublicationTarget } from "../../ports/publication.ts"

export interface KeepPublishedDeps {
  readonly issuer: string
  readonly target: PublicationTarget
  /** As they are now. */
  readonly documents: () => readonly PublishedDocument[]
  /** Resolves at the next change of the keys, or when `signal` aborts. Never rejects. */
  readonly changed: (signal: AbortSignal) => Promise<void>
  readonly clock: Pick<Clock, "sleep">
  readonly events: PublicationEvents
}

/** Each is one log record and one count. */
export interface PublicationEvents {
  published(target: string, outcome: "written" | "unchanged"): void
  /** What is there may be old; the next try is `retryIn` away, or at the next change. */
  failed(target: string, thrown: unknown, retryIn: Millis): void
}

/**
 * Keep a target current until `signal` aborts: at each change of the keys, and now and then in case somebody else wrote there.
 * Keys do not wait for it and know nothing of it. Never rejects. @see PUB-02 PUB-03
 */
export async function keepPublished(deps: KeepPublishedDeps, signal: AbortSignal): Promise<void> {
  let retry = FIRST_RETRY
  while (!signal.aborted) {
    const awake = new AbortController()
    const until = AbortSignal.any([signal, awake.signal])
    const changed = deps.changed(until)
    const done = await publishOnce(deps, retry, signal)
    await Promise.race([changed, deps.clock.sleep(done ? LOOK_EVERY : retry, until)])
    awake.abort()
    retry = done ? FIRST_RETRY : Math.min(retry * 2, LAST_RETRY)
  }
}

async function publishOnce(deps: KeepPublishedDeps, retryIn: Millis, signal: AbortSignal): Promise<boolean> {
  const { target, issuer, documents, events } = deps
  try {
    events.published(target.name, await target.publish(documents(), issuer, signal))
    return true
  } catch (thrown) {
    if (!signal.aborted) events.failed(target.name, thrown, retryIn)
    return false
  }
}

const FIRST_RETRY: Millis = 1000
const LAST_RETRY: Millis = 60_000
const LOOK_EVERY: Millis = 300_000
