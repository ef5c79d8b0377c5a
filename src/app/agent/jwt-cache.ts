import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Instant, Millis, Seconds } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { IdentityAuthority, JwtIssued, JwtOrder, Outcome } from "../../ports/identity-authority.ts"
import type { Random } from "../../ports/random.ts"
import { OUTAGE, retryDelay, uniform } from "./jitter.ts"

export interface JwtCacheDeps {
  readonly authority: Pick<IdentityAuthority, "issueJwt">
  readonly clock: Clock
  readonly random: Random
  /** False for a token that must not be kept any more: its entitlement ended, or its key left the bundle. */
  readonly isKeepable: (issued: JwtIssued) => boolean
}

interface Row {
  readonly order: JwtOrder
  readonly issued: JwtIssued
  /** Half of its life is gone from here on. */
  readonly half: Instant
  /** When a row that was used is fetched anew. */
  readonly refresh: Instant
  readonly failures: number
  readonly notBefore: Millis
  used: boolean
}

/**
 * JWT-SVIDs per identity and set of audiences. One call at a time for each, whoever asks; the least recently used row goes
 * first. @see AGT-20..AGT-24
 */
export class JwtCache {
  readonly #deps: JwtCacheDeps
  readonly #signal: AbortSignal
  /** In order of use, oldest first. */
  readonly #rows = new Map<string, Row>()
  readonly #flights = new Map<string, Promise<Outcome<JwtIssued>>>()
  /** What is on its way belongs to one life; {@link forget} begins the next. */
  #life = 0

  /** @param signal ends calls that are on their way; no single asker can */
  constructor(deps: JwtCacheDeps, signal: AbortSignal) {
    this.#deps = deps
    this.#signal = signal
  }

  /** One outcome per identity, in order. `audience` must be checked and normalised. @throws IdentityError `rate-limited` */
  async fetch(ids: readonly SpiffeId[], audience: readonly string[]): Promise<readonly Outcome<JwtIssued>[]> {
    const orders = ids.map((spiffeId) => ({ spiffeId, audience }))
    const missing = orders.filter((order) => this.#fresh(keyOf(order)) === undefined)
    if (this.#flights.size + missing.length > MAX_FLIGHTS) throw TOO_MANY
    this.#depart(missing)
    return Promise.all(orders.map((order) => this.#outcome(order)))
  }

  /** Fetch anew what was used since it came and nears half of its life. @see AGT-21 */
  refreshAhead(): void {
    const now = this.#deps.clock.now()
    const stale = [...this.#rows.values()].filter(
      (row) => row.used && now >= row.refresh && this.#deps.clock.monotonic() >= row.notBefore,
    )
    this.#depart(stale.slice(0, MAX_BATCH).map(({ order }) => order))
    for (const [key, { issued }] of this.#rows) if (issued.expiresAt <= now) this.#rows.delete(key)
  }

  /** Drop what may be kept no longer. @see AGT-23 */
  prune(): void {
    for (const [key, { issued }] of this.#rows) if (!this.#deps.isKeepable(issued)) this.#rows.delete(key)
  }

  /** Drop everything, what is on its way included. @see AGT-14 */
  forget(): void {
    this.#life++
    this.#rows.clear()
    this.#flights.clear()
  }

  async #outcome(order: JwtOrder): Promise<Outcome<JwtIssued>> {
    const key = keyOf(order)
    const cached = this.#fresh(key)
    if (cached !== undefined) return { kind: "issued", value: this.#use(key, cached) }
    const outcome = await (this.#flights.get(key) ?? Promise.resolve(LOST))
    const row = this.#rows.get(key)
    if (outcome.kind === "issued") {
      if (row !== undefined) this.#use(key, row)
      return outcome
    }
    const isServable = row !== undefined && row.issued.expiresAt - this.#deps.clock.now() >= LEAST_LIFE
    return isServable && isOutage(outcome.error) ? { kind: "issued", value: this.#use(key, row) } : outcome
  }

  /** Send for `orders`, but for those that are on their way. */
  #depart(orders: readonly JwtOrder[]): void {
    const wanted = orders.filter((order) => !this.#flights.has(keyOf(order)))
    for (let i = 0; i < wanted.length; i += MAX_BATCH) {
      const batch = wanted.slice(i, i + MAX_BATCH)
      const reply = this.#call(batch)
      batch.forEach((order, at) => {
        void this.#fly(keyOf(order), reply, (outcomes) => this.#land(order, outcomes[at] ?? LOST))
      })
    }
  }

  async #fly(
    key: string,
    reply: Promise<readonly Outcome<JwtIssued>[]>,
    land: (outcomes: readonly Outcome<JwtIssued>[]) => Outcome<JwtIssued>,
  ): Promise<void> {
    const life = this.#life
    const flight = reply.then((outcomes) => (life === this.#life ? land(outcomes) : OVERTAKEN))
    this.#flights.set(key, flight)
    await flight
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }

  async #call(batch: readonly JwtOrder[]): Promise<readonly Outcome<JwtIssued>[]> {
    try {
      return await this.#deps.authority.issueJwt(batch, this.#signal)
    } catch (thrown) {
      const error = toIdentityError(thrown)
      return batch.map(() => ({ kind: "failed", error }) as const)
    }
  }

  #land(order: JwtOrder, outcome: Outcome<JwtIssued>): Outcome<JwtIssued> {
    const key = keyOf(order)
    if (outcome.kind === "failed") {
      this.#postpone(key, outcome.error)
      return outcome
    }
    if (outcome.value.spiffeId !== order.spiffeId) return LOST
    if (!this.#deps.isKeepable(outcome.value)) return outcome
    const now = this.#deps.clock.now()
    const life = Math.max(0, outcome.value.expiresAt - now)
    const refresh = now + Math.floor(life * uniform(this.#deps.random, REFRESH_SHARE, HALF))
    this.#rows.delete(key)
    this.#rows.set(key, {
      order,
      issued: outcome.value,
      half: now + Math.floor(life * HALF),
      refresh,
      failures: 0,
      notBefore: 0,
      used: false,
    })
    for (const oldest of this.#rows.keys()) {
      if (this.#rows.size <= MAX_ROWS) break
      this.#rows.delete(oldest)
    }
    return outcome
  }

  #postpone(key: string, error: IdentityError): void {
    const row = this.#rows.get(key)
    if (row === undefined) return
    const failures = row.failures + 1
    const delay = retryDelay(failures, OUTAGE, error.retryAfter, undefined, this.#deps.random)
    this.#rows.set(key, { ...row, failures, notBefore: this.#deps.clock.monotonic() + delay })
  }

  #fresh(key: string): Row | undefined {
    const row = this.#rows.get(key)
    return row !== undefined && this.#deps.clock.now() < row.half ? row : undefined
  }

  #use(key: string, row: Row): JwtIssued {
    row.used = true
    this.#rows.delete(key)
    this.#rows.set(key, row)
    return row.issued
  }
}

/** A refusal is an answer; anything else is the lack of one. */
function isOutage(error: IdentityError): boolean {
  return OUTAGES.has(error.code)
}

function keyOf({ spiffeId, audience }: JwtOrder): string {
  return JSON.stringify([spiffeId, ...audience])
}

const LOST: Outcome<JwtIssued> = {
  kind: "failed",
  error: new IdentityError("not-ready", "the server left an order unanswered"),
}
const OVERTAKEN: Outcome<JwtIssued> = {
  kind: "failed",
  error: new IdentityError("no-identity", "the token was taken away while it was on its way"),
}
const TOO_MANY = new IdentityError("rate-limited", "too many tokens are on their way", { retryAfter: 1 })
const OUTAGES: ReadonlySet<string> = new Set([
  "not-ready",
  "attestor-down",
  "deadline",
  "rate-limited",
  "cancelled",
  "internal",
  "unauthenticated",
])
const HALF = 0.5
const REFRESH_SHARE = 0.4
/** A token with less than this left is of no use to whoever gets it. */
const LEAST_LIFE: Seconds = 10
const MAX_ROWS = 1024
const MAX_FLIGHTS = 1024
const MAX_BATCH = 64
