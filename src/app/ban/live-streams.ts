import { banName, isInForce, type RecordedBan } from "../../core/ban/ban.ts"
import { BanIndex, type BanSubject, namedBy } from "../../core/ban/ban-index.ts"
import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { BanView } from "./ban-view.ts"
import type { BanEvents } from "./events.ts"
import type { KeyHolders } from "./key-holders.ts"

/** A long stream, so that a ban finds it at once and not when it next asks for something. */
export interface LiveStream extends Disposable {
  /** It acts by the bans of now: it was ended, or told what is left. */
  settled(): void
}

export interface LiveStreamsDeps {
  readonly clock: Clock
  readonly events: Pick<BanEvents, "propagated">
  readonly keyHolders: Pick<KeyHolders, "bansOf" | "learn">
}

/** All live streams of this process. A change of a ban wakes those that it concerns and nobody else. */
export class LiveStreams {
  readonly #deps: LiveStreamsDeps
  readonly #streams = new Set<Entry>()
  /** Changes that some stream did not act upon yet, by their number. */
  readonly #spreading = new Map<number, Spreading>()

  constructor(bans: Pick<BanView, "onChange">, deps: LiveStreamsDeps) {
    this.#deps = deps
    bans.onChange((changed, since) => {
      const now = deps.clock.now()
      this.#release(changed.filter((recorded) => !isInForce(recorded, now)))
      this.#spread(
        changed.filter((recorded) => isInForce(recorded, now)),
        since,
      )
    })
  }

  /**
   * @param subject asked anew at each change, since rules change, too
   * @param touched called when bans of its subject changed. Dispose the entry when the stream ends.
   */
  enter(subject: () => BanSubject, touched: () => void): LiveStream {
    const entry: Entry = { subject, touched, concerns: new Set() }
    this.#streams.add(entry)
    return {
      settled: () => this.#settle(entry),
      [Symbol.dispose]: () => {
        this.#streams.delete(entry)
        this.#settle(entry)
      },
    }
  }

  /** How many there are of whom this is said. */
  count(isNamed: (subject: BanSubject) => boolean): number {
    return [...this.#streams].filter(({ subject }) => isNamed(subject())).length
  }

  /**
   * How many do not act upon `recorded` yet, as soon as that is none, or a second after they were found. `undefined`: who holds a
   * key is not known after 10 seconds; they are told as soon as it is.
   */
  async late({ sequence }: RecordedBan): Promise<number | undefined> {
    const spreading = this.#spreading.get(sequence)
    if (spreading === undefined) return 0
    await this.#within(PATIENCE_TO_FIND, spreading.found.promise)
    if (spreading.waiting !== undefined) await this.#within(PATIENCE, spreading.concluded.promise)
    return spreading.waiting?.size
  }

  async #within(patience: Millis, event: Promise<void>): Promise<void> {
    const stop = new AbortController()
    await Promise.race([event, this.#deps.clock.sleep(patience, stop.signal)])
    stop.abort()
  }

  /**
   * These are over. Thousands that were added together end together, so all streams are looked at once for all of them. By a ban of a
   * key nobody was banned, so there is nobody to let go on. @see BAN-11
   */
  #release(over: readonly RecordedBan[]): void {
    if (over.length === 0) return
    const isNamed = namedBy(...over.map(({ ban }) => ban.target))
    for (const { touched } of [...this.#streams].filter(({ subject }) => isNamed(subject()))) touched()
  }

  /** Who holds the keys among them is asked at once for all, and known at once. */
  #spread(changed: readonly RecordedBan[], since: Millis): void {
    const spreading = changed.map((recorded) => this.#begin(recorded, since))
    const [keys, others] = [spreading.filter(isOfKey), spreading.filter((one) => !isOfKey(one))]
    this.#reach(others)
    const { keyHolders } = this.#deps
    const known = keys.map(({ recorded }) => keyHolders.learn(banName(recorded.ban.target)))
    void Promise.all(known).then(() => this.#reach(keys))
  }

  #begin(recorded: RecordedBan, since: Millis): Spreading {
    const [found, concluded] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const spreading: Spreading = { recorded, since, waiting: undefined, streams: 0, found, concluded }
    this.#spreading.set(recorded.sequence, spreading)
    return spreading
  }

  /** It is known whom they name. All streams are looked at once for all of them. */
  #reach(spreading: readonly Spreading[]): void {
    if (spreading.length === 0) return
    const waiting = this.#namedBy(spreading.map(({ recorded }) => recorded))
    for (const one of spreading) {
      one.waiting = waiting.get(fullName(one.recorded)) ?? new Set()
      one.streams = one.waiting.size
      for (const entry of one.waiting) entry.concerns.add(one)
    }
    for (const one of spreading) {
      one.found.resolve()
      this.#conclude(one)
    }
    for (const { touched } of new Set([...waiting.values()].flatMap((entries) => [...entries]))) touched()
  }

  /** The streams that each of `changed` names, by its {@link fullName}. */
  #namedBy(changed: readonly RecordedBan[]): ReadonlyMap<string, Set<Entry>> {
    const index = new BanIndex()
    for (const recorded of changed) index.put(recorded)
    const named = new Map<string, Set<Entry>>(changed.map((recorded) => [fullName(recorded), new Set()]))
    const { keyHolders } = this.#deps
    for (const entry of this.#streams) {
      const subject = entry.subject()
      for (const recorded of index.matches(subject)) named.get(fullName(recorded))?.add(entry)
      if (!index.hasAny(["key"])) continue
      for (const recorded of keyHolders.bansOf(subject)) named.get(fullName(recorded))?.add(entry)
    }
    return named
  }

  #settle(entry: Entry): void {
    for (const spreading of entry.concerns) if (spreading.waiting?.delete(entry)) this.#conclude(spreading)
    entry.concerns.clear()
  }

  #conclude(spreading: Spreading): void {
    if (spreading.waiting === undefined || spreading.waiting.size > 0) return
    this.#spreading.delete(spreading.recorded.sequence)
    spreading.concluded.resolve()
    const elapsed = this.#deps.clock.monotonic() - spreading.since
    this.#deps.events.propagated(spreading.recorded, spreading.streams, elapsed)
  }
}

function isOfKey({ recorded }: Spreading): boolean {
  return recorded.ban.target.kind === "key"
}

function fullName({ ban: { target } }: RecordedBan): string {
  return `${target.kind} ${banName(target)}`
}

interface Entry {
  readonly subject: () => BanSubject
  readonly touched: () => void
  /** What it did not act upon yet. */
  readonly concerns: Set<Spreading>
}

interface Spreading {
  readonly recorded: RecordedBan
  /** Monotonic. */
  readonly since: Millis
  streams: number
  /** `undefined` until it is known who is named. */
  waiting: Set<Entry> | undefined
  readonly found: PromiseWithResolvers<void>
  readonly concluded: PromiseWithResolvers<void>
}

const PATIENCE: Millis = 1000
const PATIENCE_TO_FIND: Millis = 10_000
