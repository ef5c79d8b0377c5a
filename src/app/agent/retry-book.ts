import type { IdentityError } from "../../core/errors.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Random } from "../../ports/random.ts"
import { retryBoundsOf } from "./denial.ts"
import { retryDelay } from "./jitter.ts"

interface Row {
  readonly failures: number
  readonly notBefore: Millis
  readonly error: IdentityError
}

/** Which identities failed, why, and when each may be asked for again. One row per entitlement at most. @see AGT-08 */
export class RetryBook {
  readonly #rows = new Map<SpiffeId, Row>()
  readonly #clock: Clock
  readonly #random: Random

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** One delay for all of `ids`, so that what failed together is tried together. `atMost` as in {@link retryDelay}. */
  failed(ids: readonly SpiffeId[], error: IdentityError, atMost: Millis | undefined): Millis {
    const failures = 1 + Math.max(0, ...ids.map((id) => this.#rows.get(id)?.failures ?? 0))
    const delay = retryDelay(failures, retryBoundsOf(error), error.retryAfter, atMost, this.#random)
    const notBefore = this.#clock.monotonic() + delay
    for (const id of ids) this.#rows.set(id, { failures, notBefore, error })
    return delay
  }

  succeeded(id: SpiffeId): void {
    this.#rows.delete(id)
  }

  /** How long until `id` may be asked for. */
  wait(id: SpiffeId): Millis {
    return Math.max(0, (this.#rows.get(id)?.notBefore ?? 0) - this.#clock.monotonic())
  }

  errorOf(id: SpiffeId): IdentityError | undefined {
    return this.#rows.get(id)?.error
  }

  /** Let all that wait try now: the world has changed. A limit that the server asked us to keep is kept. @see AGT-10 AGT-11 */
  forgive(): void {
    const now = this.#clock.monotonic()
    for (const [id, row] of this.#rows) {
      if (row.error.code !== "rate-limited") this.#rows.set(id, { ...row, notBefore: now })
    }
  }

  retain(isKept: (id: SpiffeId) => boolean): void {
    for (const id of this.#rows.keys()) if (!isKept(id)) this.#rows.delete(id)
  }
}
