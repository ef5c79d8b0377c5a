import { type BanTarget, isInForce, type RecordedBan } from "../../core/ban/ban.ts"
import { type BanSubject, namedBy } from "../../core/ban/ban-index.ts"
import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { BanView } from "./ban-view.ts"
import type { BanEvents } from "./events.ts"

/** A long stream, so that a ban finds it at once and not when it next asks for something. */
export interface LiveStream extends Disposable {
  /** It acts by the bans of now: it was ended, or told what is left. */
  settled(): void
}

/** All live streams of this process. A change of a ban wakes those that it concerns and nobody else. */
export class LiveStreams {
  readonly #deps: { readonly clock: Clock; readonly events: Pick<BanEvents, "propagated"> }
  readonly #streams = new Set<Entry>()
  /** Changes that some stream did not act upon yet. */
  readonly #spreading = new Set<Spreading>()

  constructor(bans: BanView, deps: { readonly clock: Clock; readonly events: Pick<BanEvents, "propagated"> }) {
    this.#deps = deps
    bans.onChange((changed, since) => {
      for (const recorded of changed) this.#spread(recorded, since)
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

  /** How many there are of whom `target` names. */
  count(target: BanTarget): number {
    return this.#namedBy(target).length
  }

  /** How many do not act upon `recorded` yet, as soon as that is none, or after a second. */
  async late({ sequence }: RecordedBan): Promise<number> {
    const spreading = [...this.#spreading].find(({ recorded }) => recorded.sequence === sequence)
    if (spreading === undefined) return 0
    const stop = new AbortController()
    await Promise.race([spreading.concluded.promise, this.#deps.clock.sleep(PATIENCE, stop.signal)])
    stop.abort()
    return spreading.waiting.size
  }

  #namedBy(target: BanTarget): readonly Entry[] {
    const isNamed = namedBy(target)
    return [...this.#streams].filter(({ subject }) => isNamed(subject()))
  }

  #spread(recorded: RecordedBan, since: Millis): void {
    const waiting = new Set(this.#namedBy(recorded.ban.target))
    if (isInForce(recorded, this.#deps.clock.now())) {
      const concluded = Promise.withResolvers<void>()
      const spreading = { recorded, since, waiting, streams: waiting.size, concluded }
      this.#spreading.add(spreading)
      this.#conclude(spreading)
    }
    for (const { touched } of [...waiting]) touched()
  }

  #settle(entry: Entry): void {
    for (const spreading of this.#spreading) if (spreading.waiting.delete(entry)) this.#conclude(spreading)
  }

  #conclude(spreading: Spreading): void {
    if (spreading.waiting.size > 0) return
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
  readonly streams: number
  readonly waiting: Set<Entry>
  readonly concluded: PromiseWithResolvers<void>
}

const PATIENCE: Millis = 1000
