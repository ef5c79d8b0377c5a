import type { AuditEvent } from "../../core/audit/event.ts"
import { type Ban, type BanKind, type BanTarget, isInForce, type RecordedBan } from "../../core/ban/ban.ts"
import { BanIndex, type BanSubject, matchBan, matchToken } from "../../core/ban/ban-index.ts"
import type { Instant, Millis, Seconds } from "../../core/time.ts"
import type { BanLog } from "../../ports/bans.ts"
import type { Clock } from "../../ports/clock.ts"

/** Who is banned, in memory. What another replica changed is seen within a second; what this one did, when it resolves. */
export interface BanView {
  /** {@link BanPage.head} of what {@link match} answers from. */
  readonly head: number
  /** The ban by which nothing may be issued to `subject` now. */
  match(subject: BanSubject): RecordedBan | undefined
  /** The ban by which a token of `subject` that was issued at `issuedAt` is dead. @see matchToken */
  matchToken(subject: BanSubject, issuedAt: Instant | undefined): RecordedBan | undefined
  /** Whether any ban of these kinds is known, in force or not. */
  hasAny(kinds: readonly BanKind[]): boolean
  /** The ban of exactly this target, if it is in force. */
  find(target: BanTarget): RecordedBan | undefined
  /** All that are in force. */
  inForce(): readonly RecordedBan[]
  /** Durable, and in force here, when it resolves. @throws IdentityError as {@link BanLog.add} */
  add(ban: Ban, audit: AuditEvent): Promise<void>
  /** Durable, and seen here, when it resolves. @throws IdentityError as {@link BanLog.lift} */
  lift(target: BanTarget, at: Instant, audit: AuditEvent): Promise<void>
  /** See at least all that was changed before this call. @throws IdentityError `not-ready` */
  catchUp(): Promise<void>
  /**
   * Called with the records that are new here, and since when (monotonic) they were being written or, by others, were here; while
   * {@link run} runs, also with those that have just ended by themselves.
   */
  onChange(listener: BanListener): void
  /** Follow the log, and forget what ended long ago, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

export type BanListener = (changed: readonly RecordedBan[], since: Millis) => void

export interface BanViewDeps {
  readonly log: BanLog
  readonly clock: Clock
  /** While the wall clock is in doubt nothing is forgotten. @see INV-21 */
  readonly steady: () => boolean
  /** Told of each time that the log could not be read; it is tried again. */
  readonly onReadFailed: (error: unknown) => void
}

/** Read the whole log, then serve. @throws IdentityError when it cannot be read: without it the banned would pass @see BAN-04 */
export async function openBanView(deps: BanViewDeps): Promise<BanView> {
  const view = new MemoryBanView(deps)
  await view.catchUp()
  return view
}

/** Bounded by the log, which refuses what is too much. */
class MemoryBanView implements BanView {
  readonly #deps: BanViewDeps
  readonly #index = new BanIndex()
  readonly #listeners: BanListener[] = []
  #head = 0

  constructor(deps: BanViewDeps) {
    this.#deps = deps
  }

  get head(): number {
    return this.#head
  }

  match(subject: BanSubject): RecordedBan | undefined {
    return this.#index.isEmpty ? undefined : matchBan(this.#index, subject, this.#deps.clock.now())
  }

  matchToken(subject: BanSubject, issuedAt: Instant | undefined): RecordedBan | undefined {
    return this.#index.isEmpty ? undefined : matchToken(this.#index, subject, issuedAt, this.#deps.clock.now())
  }

  hasAny(kinds: readonly BanKind[]): boolean {
    return !this.#index.isEmpty && this.#index.hasAny(kinds)
  }

  find(target: BanTarget): RecordedBan | undefined {
    const recorded = this.#index.find(target)
    return recorded !== undefined && isInForce(recorded, this.#deps.clock.now()) ? recorded : undefined
  }

  inForce(): readonly RecordedBan[] {
    const now = this.#deps.clock.now()
    return this.#index.all().filter((recorded) => isInForce(recorded, now))
  }

  add(ban: Ban, audit: AuditEvent): Promise<void> {
    return this.#write(() => this.#deps.log.add(ban, audit))
  }

  lift(target: BanTarget, at: Instant, audit: AuditEvent): Promise<void> {
    return this.#write(() => this.#deps.log.lift(target, at, audit))
  }

  /** What is said about a write that failed must agree with what is known here afterwards: it may have landed, as may an earlier one. */
  async #write(write: () => Promise<void>): Promise<void> {
    const since = this.#deps.clock.monotonic()
    try {
      await write()
    } catch (thrown) {
      await this.#catchUp(since).catch(this.#deps.onReadFailed)
      throw thrown
    }
    await this.#catchUp(since)
  }

  catchUp(): Promise<void> {
    return this.#catchUp(this.#deps.clock.monotonic())
  }

  async #catchUp(since: Millis): Promise<void> {
    for (;;) {
      const { records, head } = await this.#deps.log.readAfter(this.#head, PAGE)
      const isAll = records.length < PAGE
      this.#adopt(records, isAll ? head : (records.at(-1)?.sequence ?? head), since)
      if (isAll) return
    }
  }

  onChange(listener: BanListener): void {
    this.#listeners.push(listener)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, steady, onReadFailed } = this.#deps
    let looked = clock.now()
    while (!signal.aborted) {
      await clock.sleep(FOLLOW_EVERY, signal)
      if (signal.aborted) return
      const now = clock.now()
      this.#tell(this.#endedBetween(looked, now), clock.monotonic())
      looked = now
      if (steady()) this.#index.forget(clock.now() - BANS_KEPT_FOR)
      await this.catchUp().catch(onReadFailed)
    }
  }

  /** Two that catch up at once may come here in either order, so nothing goes back. */
  #adopt(records: readonly RecordedBan[], head: number, since: Millis): void {
    const fresh = records.filter(({ sequence }) => sequence > this.#head)
    for (const recorded of fresh) this.#index.put(recorded)
    this.#head = Math.max(this.#head, head)
    this.#tell(fresh, since)
  }

  /** Those whose time was over after `from`, and by `to`. */
  #endedBetween(from: Instant, to: Instant): readonly RecordedBan[] {
    return this.#index.all().filter(({ ban: { until }, liftedAt }) => {
      return liftedAt === undefined && until !== undefined && from < until && until <= to
    })
  }

  #tell(changed: readonly RecordedBan[], since: Millis): void {
    if (changed.length > 0) for (const listener of this.#listeners) listener(changed, since)
  }
}

/** After the end of a ban: longer than any token lives, with what clocks may differ. */
export const BANS_KEPT_FOR: Seconds = 2 * 86_400
const FOLLOW_EVERY: Millis = 500
const PAGE = 1000
