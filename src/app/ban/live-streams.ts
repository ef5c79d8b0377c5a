import { type BanTarget, banName, isInForce, type RecordedBan } from "../../core/ban/ban.ts"
import { type BanSubject, namedBy } from "../../core/ban/ban-index.ts"
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
  /** Changes that some stream did not act upon yet. */
  readonly #spreading = new Set<Spreading>()

  constructor(bans: Pick<BanView, "onChange">, deps: LiveStreamsDeps) {
    this.#deps = deps
    bans.onChange((changed, since) => {
      const now = deps.clock.now()
      this.#release(changed.filter((recorded) => !isInForce(recorded, now)))
      for (const recorded of changed) if (isInForce(recorded, now)) this.#spread(recorded, since)
    })
  }

  /**
   * @param subject asked anew at each change, since rules change, too
   * @param touched called when bans of its subject changed. Dispose the entry when the stream ends.
   */
  enter(subject: () => BanSubject, touched: () => void): LiveStream {
    const entry: Entry = { subject, touched }
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
    const spreading = [...this.#spreading].find(({ recorded }) => recorded.sequence === sequence)
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

  #namedBy(target: BanTarget): readonly Entry[] {
    const { keyHolders } = this.#deps
    const isKey = ({ ban }: RecordedBan): boolean => banName(ban.target) === banName(target)
    const isNamed = target.kind === "key" ? (one: BanSubject) => keyHolders.bansOf(one).some(isKey) : namedBy(target)
    return [...this.#streams].filter(({ subject }) => isNamed(subject()))
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

  #spread(recorded: RecordedBan, since: Millis): void {
    const { target } = recorded.ban
    const [found, concluded] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const spreading: Spreading = { recorded, since, waiting: undefined, streams: 0, found, concluded }
    this.#spreading.add(spreading)
    if (target.kind !== "key") this.#reach(spreading)
    else void this.#deps.keyHolders.learn(target.spkiSha256).then(() => this.#reach(spreading))
  }

  /** It is known whom the ban names. */
  #reach(spreading: Spreading): void {
    const waiting = new Set(this.#namedBy(spreading.recorded.ban.target))
    spreading.waiting = waiting
    spreading.streams = waiting.size
    spreading.found.resolve()
    this.#conclude(spreading)
    for (const { touched } of [...waiting]) touched()
  }

  #settle(entry: Entry): void {
    for (const spreading of this.#spreading) if (spreading.waiting?.delete(entry)) this.#conclude(spreading)
  }

  #conclude(spreading: Spreading): void {
    if (spreading.waiting === undefined || spreading.waiting.size > 0) return
    this.#spreading.delete(spreading)
    spreading.concluded.resolve()
    const elapsed = this.#deps.clock.monotonic() - spreading.since
    this.#deps.events.propagated(spreading.recorded, spreading.streams, elapsed)
  }
}

interface Entry {
  readonly subject: () => BanSubject
  readonly touched: () => void
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
