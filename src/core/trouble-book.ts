import type { Instant, Seconds } from "./time.ts"

/** Something that is not as it should be. */
export interface Trouble {
  readonly reason: string
  readonly since: Instant
}

/**
 * Troubles that last, by name. Each is told when it begins, when its reason changes, once an hour, and when it is over, however often
 * it is seen. Callers bound how many names there are.
 */
export class TroubleBook {
  readonly #rows = new Map<string, Trouble & { readonly toldAt: Instant }>()

  /** It is seen, again or for the first time. True when it is to be told now. */
  seen(name: string, reason: string, now: Instant): boolean {
    const known = this.#rows.get(name)
    const isTold = known?.reason === reason && Math.abs(now - known.toldAt) < TELL_AGAIN
    if (!isTold) this.#rows.set(name, { reason, since: known?.since ?? now, toldAt: now })
    return !isTold
  }

  /** It is over. True when there was any, which is to be told too. */
  over(name: string): boolean {
    return this.#rows.delete(name)
  }

  /** What is wrong now. */
  find(name: string): Trouble | undefined {
    return this.#rows.get(name)
  }
}

const TELL_AGAIN: Seconds = 3600
