import { type RetryBounds, retryDelay, uniform } from "../app/agent/jitter.ts"
import { type ErrorCode, IdentityError, toIdentityError } from "../core/errors.ts"
import type { Instant, Millis } from "../core/time.ts"
import { waitFor } from "../core/wait-for.ts"
import type { Clock } from "../ports/clock.ts"
import type { Random } from "../ports/random.ts"

/** Something that is good for a while. */
export interface Perishable {
  readonly expiresAt: Instant
}

/** Values under keys, fetched anew before they perish. */
export interface AheadCache<Value extends Perishable> extends Disposable {
  /**
   * The value of a key, fetched when there is none. @param signal ends the wait of this caller, not the fetching
   * @throws IdentityError what `fetch` throws; `cancelled`; `rate-limited` when too many keys are being fetched
   */
  get(key: string, fetch: (signal: AbortSignal) => Promise<Value>, signal?: AbortSignal): Promise<Value>
}

export interface AheadCacheDeps {
  readonly clock: Pick<Clock, "now" | "monotonic">
  readonly random: Random
}

interface Row<Value> {
  value: Value | undefined
  /** When it is fetched anew, if somebody asks: at a share of its life that is drawn from 0.5 to 0.8. */
  refreshAt: Instant
  flight: Promise<Value> | undefined
  failures: number
  error: IdentityError | undefined
  /** On the monotonic clock. No fetch begins sooner. */
  notBefore: Millis
}

/**
 * One fetch for a key at a time, whoever asks. A value that is past its refresh is served while the next one is fetched, and
 * through outages until it expires; a refusal ends it at once. After a failure no fetch begins for 0.2 s to 10 s, and who asks
 * meanwhile with nothing held gets the failure. @see CLT-12 CLT-13
 */
export function makeAheadCache<Value extends Perishable>({ clock, random }: AheadCacheDeps): AheadCache<Value> {
  const stop = new AbortController()
  /** In order of use, oldest first. */
  const rows = new Map<string, Row<Value>>()

  const land = (row: Row<Value>, value: Value): Value => {
    const now = clock.now()
    const life = value.expiresAt - now
    if (life <= 0) throw new IdentityError("not-ready", "what was fetched had expired already")
    row.value = value
    row.refreshAt = now + Math.floor(life * uniform(random, EARLIEST_SHARE, LATEST_SHARE))
    row.failures = 0
    row.error = undefined
    return value
  }
  const fail = (row: Row<Value>, thrown: unknown): IdentityError => {
    const error = toIdentityError(thrown)
    if (!OUTAGES.has(error.code)) row.value = undefined
    row.failures++
    row.error = error
    row.notBefore = clock.monotonic() + retryDelay(row.failures, RETRY, error.retryAfter, RETRY.ceiling, random)
    return error
  }
  const depart = (row: Row<Value>, fetch: (signal: AbortSignal) => Promise<Value>): Promise<Value> => {
    const flight = (async () => {
      try {
        return land(row, await fetch(stop.signal))
      } catch (thrown) {
        throw fail(row, thrown)
      } finally {
        row.flight = undefined
      }
    })()
    flight.catch(() => undefined) // nobody may be waiting
    row.flight = flight
    return flight
  }
  const rowOf = (key: string): Row<Value> => {
    const row = rows.get(key) ?? {
      value: undefined,
      refreshAt: 0,
      flight: undefined,
      failures: 0,
      error: undefined,
      notBefore: Number.NEGATIVE_INFINITY,
    }
    rows.delete(key)
    if (rows.size === MAX_ROWS) evict(rows)
    rows.set(key, row)
    return row
  }
  return {
    get: async (key, fetch, signal = stop.signal) => {
      stop.signal.throwIfAborted()
      const row = rowOf(key)
      const now = clock.now()
      const held = row.value !== undefined && row.value.expiresAt > now ? row.value : undefined
      if (held !== undefined && now < row.refreshAt) return held
      const isResting = clock.monotonic() < row.notBefore
      if (held !== undefined) {
        if (row.flight === undefined && !isResting) void depart(row, fetch)
        return held
      }
      if (row.flight === undefined && isResting && row.error !== undefined) throw row.error
      return await waitFor(row.flight ?? depart(row, fetch), signal)
    },
    [Symbol.dispose]: () => {
      stop.abort(new IdentityError("cancelled", "the source is closed"))
      rows.clear()
    },
  }
}

/** The one that was not used for longest goes. */
function evict(rows: Map<string, Row<unknown>>): void {
  for (const [key, { flight }] of rows) {
    if (flight !== undefined) continue
    rows.delete(key)
    return
  }
  throw new IdentityError("rate-limited", "too many tokens are on their way", { retryAfter: 1 })
}

const EARLIEST_SHARE = 0.5
const LATEST_SHARE = 0.8
const MAX_ROWS = 1024
const RETRY: RetryBounds = { floor: 200, ceiling: 10_000 }
/** The lack of an answer; everything else is one. */
const OUTAGES: ReadonlySet<ErrorCode> = new Set([
  "not-ready",
  "attestor-down",
  "deadline",
  "rate-limited",
  "cancelled",
  "internal",
])
