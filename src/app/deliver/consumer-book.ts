import { type Held, type Holder, holderKey } from "../../core/authority/holder.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import { type ConsumerRecord, MAX_CONSUMER_WRITE } from "../../ports/consumers.ts"
import { consumerId } from "./consumers.ts"

/** Somebody's own word, with a renewal, for what it holds and has handed on. @see EV-3 */
export interface Quote {
  readonly epoch: number
  /** `trust-probe`: over a connection that it could not have completed otherwise. @see EV-4 */
  readonly grade: "quoted-epoch" | "trust-probe"
  /** What it was given then expires. */
  readonly until: Instant
}

/** A consumer that is there, or that left with something that can still fail. */
interface Known {
  record: ConsumerRecord
  streams: number
}

interface KnownHolder {
  /** When the last of what it was given expires, as far as known here. */
  issuedUntil: Instant
  /** The same for what it did not get through a stream that is open now. */
  unfollowedUntil: Instant
  quote: Quote | undefined
  readonly consumers: Set<string>
  overlooks: boolean
}

/**
 * Who must be waited for: consumers that are there, and those that left and still hold something. At most 100,000 of them, and
 * 1,024 of one holder; whoever comes on top is not told apart, and {@link overlookedUntil} stands for all of them. @see EVD-04
 */
export class ConsumerBook {
  readonly #now: () => Instant
  readonly #known = new Map<string, Known>()
  readonly #holders = new Map<string, KnownHolder>()
  readonly #dirty = new Set<string>()
  #overlookedUntil: Instant = 0
  #walk = this.#pruning()

  constructor(now: () => Instant) {
    this.#now = now
  }

  /** Until when a consumer that was not written down may hold something. */
  get overlookedUntil(): Instant {
    return this.#overlookedUntil
  }

  /** Consumers that are not there and hold something. */
  get gone(): readonly ConsumerRecord[] {
    return this.goneSince(this.#now())
  }

  /** Consumers that are not there and hold what had not expired at `since`, which is {@link MAX_SKEW} ago at most. @see EVD-03 */
  goneSince(since: Instant): readonly ConsumerRecord[] {
    return [...this.#known.values()].flatMap(({ record, streams }) =>
      streams === 0 && record.notAfter > since ? [record] : [],
    )
  }

  quoteOf(holder: Holder): Quote | undefined {
    const quote = this.#holders.get(holderKey(holder))?.quote
    return quote !== undefined && quote.until > this.#now() ? quote : undefined
  }

  /** Until when the holder has what no stream of it answers for. */
  unfollowedUntil(holder: Holder): Instant {
    return this.#holders.get(holderKey(holder))?.unfollowedUntil ?? 0
  }

  arrived(holder: Holder, kind: ConsumerRecord["kind"], name: string): void {
    const id = consumerId(holder, kind, name)
    const entry = this.#holder(holder)
    if (kind === "agent") {
      // The agent answers for all that its holder was given; what was quoted was quoted by whoever was there before.
      entry.unfollowedUntil = 0
      entry.quote = undefined
    }
    const known = this.#known.get(id)
    if (known === undefined && !this.#hasRoom(entry)) {
      this.#overlook(entry)
      return
    }
    const now = this.#now()
    const record = {
      id,
      holder,
      name,
      kind,
      nackReason: undefined,
      notAfter: entry.issuedUntil,
      lastContact: now,
      leftAt: undefined,
    }
    this.#known.set(id, { record, streams: (known?.streams ?? 0) + 1 })
    entry.consumers.add(id)
    this.#dirty.add(id)
  }

  /** It refused the newest bundle for this reason, or does not refuse it any more. */
  said(holder: Holder, kind: ConsumerRecord["kind"], name: string, nackReason: string | undefined): void {
    const known = this.#known.get(consumerId(holder, kind, name))
    if (known === undefined || known.record.nackReason === nackReason) return
    known.record = { ...known.record, nackReason, lastContact: this.#now() }
    this.#dirty.add(known.record.id)
  }

  /** A stream of it ended. When it was the last one, it is waited for until what it was given by now has expired. @see EVD-03 */
  left(holder: Holder, kind: ConsumerRecord["kind"], name: string): void {
    const id = consumerId(holder, kind, name)
    const known = this.#known.get(id)
    if (known === undefined) return
    known.streams -= 1
    if (known.streams > 0) return
    const now = this.#now()
    const notAfter = this.#lastOf(holder, known.record.notAfter)
    known.record = { ...known.record, notAfter, lastContact: now, leftAt: now }
    this.#dirty.add(id)
  }

  /** `quoted`: the epoch that the caller says to hold; 0 for none; `undefined`: this process keeps it for a proxy. */
  issued(holder: Holder, notAfter: Instant, quoted: number | undefined, proven = false): void {
    if (!this.#holders.has(holderKey(holder)) && this.#holders.size >= MAX_HOLDERS) {
      this.#overlookedUntil = Math.max(this.#overlookedUntil, notAfter)
      return
    }
    const entry = this.#holder(holder)
    const isFirst = entry.issuedUntil === 0
    entry.issuedUntil = Math.max(entry.issuedUntil, notAfter)
    if (isFirst) this.#given(entry)
    if (entry.overlooks) this.#overlook(entry)
    if (quoted === undefined) return
    entry.quote =
      quoted === 0 ? undefined : { epoch: quoted, grade: proven ? "trust-probe" : "quoted-epoch", until: notAfter }
    if (this.#isFollowed(entry)) return
    entry.unfollowedUntil = Math.max(entry.unfollowedUntil, notAfter)
    // Beside proxies that this process keeps something for, a restart would take it for theirs.
    if (entry.consumers.size > 0 && !this.#hasAgent(entry)) {
      this.arrived(holder, "agent", "")
      this.left(holder, "agent", "")
    }
  }

  /** Take over what was written down and what the log says. Nobody is there until he says so again. @see EVD-05 */
  restore(records: readonly ConsumerRecord[], held: readonly Held[]): void {
    for (const { holder, notAfter } of held) {
      const entry = this.#holder(holder)
      entry.issuedUntil = Math.max(entry.issuedUntil, notAfter)
    }
    for (const record of records) this.#restoreOne(record)
    for (const entry of this.#holders.values())
      entry.unfollowedUntil = this.#answersForAll(entry) ? 0 : entry.issuedUntil
  }

  /** Forget what has expired by every clock. */
  prune(): void {
    for (const _ of this.#pruning());
  }

  /** The same for the next `count` of consumers and holders together; the walk begins anew after the last of them. @see EVD-17 */
  pruneSome(count: number): void {
    for (let i = 0; i < count; i++) {
      if (this.#walk.next().done !== true) continue
      this.#walk = this.#pruning()
      return
    }
  }

  /** One step for each consumer and holder. Both tables may change between two steps. */
  *#pruning(): Generator<void> {
    for (const [id, { record, streams }] of this.#known) {
      if (streams === 0 && record.notAfter <= this.#now() - MAX_SKEW) {
        this.#known.delete(id)
        this.#holders.get(holderKey(record.holder))?.consumers.delete(id)
        this.#dirty.add(id)
      }
      yield
    }
    for (const [key, entry] of this.#holders) {
      if (entry.consumers.size === 0 && entry.issuedUntil <= this.#now() - MAX_SKEW) this.#holders.delete(key)
      yield
    }
  }

  /** What to write next; call {@link unwritten} with it when that failed. `undefined`: nothing. */
  takeChanges(): { readonly records: readonly ConsumerRecord[]; readonly removed: readonly string[] } | undefined {
    const ids = [...this.#dirty].slice(0, MAX_CONSUMER_WRITE)
    if (ids.length === 0) return undefined
    for (const id of ids) this.#dirty.delete(id)
    return {
      records: ids.flatMap((id) => this.#known.get(id)?.record ?? []),
      removed: ids.filter((id) => !this.#known.has(id)),
    }
  }

  unwritten(ids: readonly string[]): void {
    for (const id of ids) this.#dirty.add(id)
  }

  #restoreOne(record: ConsumerRecord): void {
    const entry = this.#holder(record.holder)
    // It was there when the process ended, so it may have been given more than the record knows of.
    const last = record.leftAt === undefined ? this.#lastOf(record.holder, record.notAfter) : record.notAfter
    const leftAt = record.leftAt ?? this.#now()
    this.#known.set(record.id, { record: { ...record, notAfter: last, leftAt }, streams: 0 })
    entry.consumers.add(record.id)
    if (record.leftAt === undefined) this.#dirty.add(record.id)
  }

  #holder(holder: Holder): KnownHolder {
    const key = holderKey(holder)
    const found = this.#holders.get(key)
    if (found !== undefined) return found
    const entry = {
      issuedUntil: 0,
      unfollowedUntil: 0,
      quote: undefined,
      consumers: new Set<string>(),
      overlooks: false,
    }
    this.#holders.set(key, entry)
    return entry
  }

  /** Those who came before there was a certificate hold one now. @see EV-6 */
  #given(entry: KnownHolder): void {
    for (const id of entry.consumers) {
      const known = this.#known.get(id)
      if (known === undefined || known.streams === 0 || known.record.notAfter > 0) continue
      known.record = { ...known.record, notAfter: entry.issuedUntil }
      this.#dirty.add(id)
    }
  }

  /**
   * Somebody who was given no certificate has a bundle, for which nothing sets an end but a lease. Somebody who was has none once that
   * expired. @param given what is written down of him; 0: nothing @see EV-6
   */
  #lastOf(holder: Holder, given: Instant): Instant {
    const until = Math.max(this.#holder(holder).issuedUntil, given)
    const now = this.#now()
    return until > now ? until : until > 0 ? now : now + VERIFIER_LEASE
  }

  #isFollowed(entry: KnownHolder): boolean {
    return [...entry.consumers].some((id) => {
      const known = this.#known.get(id)
      return known?.record.kind === "agent" && known.streams > 0
    })
  }

  /** Those who were restored hold all that the holder was given: an agent, or proxies that this process kept it for. */
  #answersForAll(entry: KnownHolder): boolean {
    const all = [...entry.consumers].flatMap((id) => this.#known.get(id)?.record ?? [])
    const agents = all.filter(({ kind }) => kind === "agent")
    return agents.length === 0 ? all.length > 0 : agents.some(({ notAfter }) => notAfter >= entry.issuedUntil)
  }

  #hasAgent(entry: KnownHolder): boolean {
    return [...entry.consumers].some((id) => this.#known.get(id)?.record.kind === "agent")
  }

  #hasRoom(entry: KnownHolder): boolean {
    return this.#known.size < MAX_CONSUMERS && entry.consumers.size < MAX_PER_HOLDER
  }

  #overlook(entry: KnownHolder): void {
    entry.overlooks = true
    this.#overlookedUntil = Math.max(this.#overlookedUntil, entry.issuedUntil, this.#now() + VERIFIER_LEASE)
  }
}

const MAX_CONSUMERS = 100_000
const MAX_PER_HOLDER = 1024
const MAX_HOLDERS = 200_000
/** By how much clocks may differ at most; `rotation.skew` cannot be more. */
export const MAX_SKEW: Seconds = 600
/** How long a consumer that left without a certificate may go on with the bundle that it has. */
export const VERIFIER_LEASE: Seconds = 3600
