import { type Holder, holderKey } from "../../core/authority/holder.ts"
import { makeChangeSignal } from "../../core/change-signal.ts"
import type { Instant } from "../../core/time.ts"
import type { ConsumerReport } from "../../ports/identity-authority.ts"
import type { ConsumerBook } from "./consumer-book.ts"

/** A live subscription stream as the server knows it. Gone when the stream ends: an epoch is what a live stream acknowledged. @see INV-27 */
export interface SubscriberRow {
  readonly agent: string
  /** As the token of the stream says, whatever the peer calls itself. */
  readonly holder: Holder
  /** `server`: this process follows for proxies that subscribe to it directly; it holds nothing itself. */
  readonly door: "agent" | "server"
  /** Of the newest snapshot that was sent; 0 for none. What is said of a later one is not believed. */
  readonly sent: number
  /** Epoch acknowledged last; 0 for none. Not a maximum. */
  readonly epoch: number
  readonly nackReason: string | undefined
  readonly consumers: readonly ConsumerReport[]
  /** How many more are behind it that were not listed. */
  readonly unlisted: number
  readonly lastContact: Instant
}

/** What is said once it was disposed of is not heard: it may have been on its way when the stream ended. @see EVD-03 */
export interface SubscriberEntry extends Disposable {
  /** To be called before a snapshot of this epoch is sent. */
  sent(epoch: number): void
  acknowledged(epoch: number, nackReason: string | undefined): void
  /** The full list each time. Who is not in it any more has left, or is one of the `unlisted`; both are waited for. */
  reported(consumers: readonly ConsumerReport[], unlisted?: number): void
}

/** Who follows the bundles, and how far each one is. */
export class Subscribers {
  readonly #rows = new Map<symbol, SubscriberRow>()
  readonly #now: () => Instant
  readonly #book: ConsumerBook
  readonly #changes = makeChangeSignal()

  constructor(now: () => Instant, book: ConsumerBook) {
    this.#now = now
    this.#book = book
  }

  get rows(): readonly SubscriberRow[] {
    return [...this.#rows.values()]
  }

  /** Streams of agents. */
  get size(): number {
    return this.rows.filter(({ door }) => door === "agent").length
  }

  /** Resolves when somebody came, left, acknowledged or refused, or when `signal` aborts. Never rejects. */
  changed(signal: AbortSignal): Promise<void> {
    return this.#changes.changed(signal)
  }

  /** Dispose it when the stream ends. */
  enter(agent: string, holder: Holder, door: SubscriberRow["door"]): SubscriberEntry {
    const stream = Symbol(agent)
    const base = { agent, holder, door, sent: 0, epoch: 0, nackReason: undefined, consumers: [], unlisted: 0 }
    this.#rows.set(stream, { ...base, lastContact: this.#now() })
    if (door === "agent") this.#book.arrived(holder, "agent", agent)
    const change = (part: (row: SubscriberRow) => Partial<SubscriberRow>) => {
      const row = this.#rows.get(stream)
      if (row === undefined) return
      this.#rows.set(stream, { ...row, ...part(row), lastContact: this.#now() })
      this.#changes.fire()
    }
    return {
      sent: (epoch) => change((row) => ({ sent: epoch, lastContact: row.lastContact })),
      acknowledged: (epoch, nackReason) => {
        if (!this.#rows.has(stream)) return
        if (door === "agent") this.#book.said(holder, "agent", agent, nackReason)
        change((row) => (nackReason === undefined && epoch <= row.sent ? { epoch, nackReason } : { nackReason }))
      },
      reported: (consumers, unlisted = 0) => {
        const before = this.#rows.get(stream)?.consumers
        if (before === undefined) return
        change(() => ({ consumers, unlisted }))
        this.#follow(holder, before, consumers)
      },
      [Symbol.dispose]: () => {
        const row = this.#rows.get(stream)
        if (!this.#rows.delete(stream) || row === undefined) return
        this.#follow(holder, row.consumers, [])
        if (door === "agent") this.#book.left(holder, "agent", agent)
        this.#changes.fire()
      },
    }
  }

  #follow(holder: Holder, before: readonly ConsumerReport[], after: readonly ConsumerReport[]): void {
    const known = new Set(before.map(nameOf))
    const here = new Set(after.map(nameOf))
    for (const { kind, name } of before) if (!here.has(`${kind}/${name}`)) this.#book.left(holder, kind, name)
    for (const consumer of after) {
      if (!known.has(nameOf(consumer))) this.#book.arrived(holder, consumer.kind, consumer.name)
      this.#book.said(holder, consumer.kind, consumer.name, consumer.nackReason)
    }
  }
}

/** Names a consumer; the same over reconnects and restarts. */
export function consumerId(holder: Holder, kind: string, name: string): string {
  return `${holderKey(holder)}/${kind}/${name}`
}

function nameOf({ kind, name }: ConsumerReport): string {
  return `${kind}/${name}`
}
