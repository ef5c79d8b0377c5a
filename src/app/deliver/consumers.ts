import type { Instant } from "../../core/time.ts"
import type { ConsumerReport } from "../../ports/identity-authority.ts"

/** A live subscription stream as the server knows it. Gone when the stream ends: an epoch is what a live stream acknowledged. @see INV-27 */
export interface SubscriberRow {
  readonly agent: string
  /** Epoch acknowledged last; 0 for none. Not a maximum. */
  readonly epoch: number
  readonly nackReason: string | undefined
  readonly consumers: readonly ConsumerReport[]
  readonly lastContact: Instant
}

export interface SubscriberEntry extends Disposable {
  acknowledged(epoch: number, nackReason: string | undefined): void
  reported(consumers: readonly ConsumerReport[]): void
}

/** Who follows the bundles, and how far each one is. */
export class Subscribers {
  readonly #rows = new Map<symbol, SubscriberRow>()
  readonly #now: () => Instant

  constructor(now: () => Instant) {
    this.#now = now
  }

  get rows(): readonly SubscriberRow[] {
    return [...this.#rows.values()]
  }

  get size(): number {
    return this.#rows.size
  }

  /** Dispose it when the stream ends. */
  enter(agent: string): SubscriberEntry {
    const key = Symbol(agent)
    const base = { agent, epoch: 0, nackReason: undefined, consumers: [] }
    this.#rows.set(key, { ...base, lastContact: this.#now() })
    const change = (part: Partial<SubscriberRow>) => {
      const row = this.#rows.get(key)
      if (row !== undefined) this.#rows.set(key, { ...row, ...part, lastContact: this.#now() })
    }
    return {
      acknowledged: (epoch, nackReason) => change(nackReason === undefined ? { epoch, nackReason } : { nackReason }),
      reported: (consumers) => change({ consumers }),
      [Symbol.dispose]: () => {
        this.#rows.delete(key)
      },
    }
  }
}
