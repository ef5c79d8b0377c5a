import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { TrustBundle, TrustSnapshot } from "../../core/spiffe/bundle.ts"
import type { SpiffeId, TrustDomain } from "../../core/spiffe/id.ts"
import type { Instant, Millis, Seconds } from "../../core/time.ts"
import type { Entitlement } from "../../ports/identity-authority.ts"
import type { Log } from "../../ports/telemetry.ts"
import { describeState } from "./describe-state.ts"
import { type Holding, Holdings } from "./holdings.ts"
import { JumpWatch } from "./jump-watch.ts"
import { nextOrders, untilNextOrder } from "./next-orders.ts"
import { OpenRenewals } from "./open-renewals.ts"
import { type OrderDeps, type Ordered, orderSvids } from "./order-svids.ts"
import { refuseSnapshot } from "./refuse-snapshot.ts"
import { hastenRenewal } from "./renewal-schedule.ts"
import { RetryBook } from "./retry-book.ts"
import { StateCell } from "./state-cell.ts"
import type { VerifyIssued } from "./verify-issued.ts"

export interface KeeperDeps extends OrderDeps {
  readonly trustDomain: TrustDomain
  readonly verifyIssued: VerifyIssued
  readonly log: Log
  /** The least epoch that clients which cannot acknowledge were sent; `undefined`: there are none. */
  readonly handedOn?: () => number | undefined
}

/** Keeps an SVID for every entitlement, and shows the whole only when it is consistent. */
export class SvidKeeper {
  readonly #deps: KeeperDeps
  readonly #holdings = new Holdings()
  readonly #retries: RetryBook
  #renewals = new OpenRenewals()
  readonly #cell: StateCell
  #subscriptionError: IdentityError | undefined
  #expiredAt: Instant | undefined
  #ordering: Promise<void> | undefined
  /** What is ordered belongs to one life; an eviction, or another incarnation, begins the next. */
  #life = 0
  #renewal = { count: 0, within: 0 }
  #alarm = new AbortController()

  constructor(deps: KeeperDeps) {
    this.#deps = deps
    this.#retries = new RetryBook(deps.clock, deps.random)
    this.#cell = new StateCell(describeState(this.#holdings, this.#retries, NO_TROUBLE, deps.clock.now()))
  }

  get cell(): Pick<StateCell, "current" | "changed"> {
    return this.#cell
  }

  /** The newest that was adopted. */
  get snapshot(): TrustSnapshot | undefined {
    return this.#holdings.snapshot
  }

  get entitlements(): readonly Entitlement[] | undefined {
    return this.#holdings.entitlements
  }

  /** @returns why the snapshot was refused, or `undefined` when it was adopted */
  adopt(snapshot: TrustSnapshot, entitlements: readonly Entitlement[]): string | undefined {
    const before = this.#holdings.snapshot
    const refusal = refuseSnapshot(snapshot, before, this.#deps.trustDomain)
    if (refusal !== undefined) return refusal
    this.#subscriptionError = undefined
    // What is on its way tells an epoch of before, and would wait for it in vain. @see AGT-02
    if (before !== undefined && before.incarnation !== snapshot.incarnation) this.#life++
    this.#holdings.adopt(snapshot, entitlements)
    this.#retries.retain((id) => this.#holdings.isEntitled(id))
    this.#renewals.retain((id) => this.#holdings.isEntitled(id))
    this.#retries.forgive()
    if (before === undefined || !keepsRoots(before.own, snapshot.own)) this.#renewWhatNobodyTrusts(snapshot)
    this.#settle()
    return undefined
  }

  /** Renew everything at moments drawn from the next `within` seconds. @see AGT-13 */
  renew(within: Seconds): void {
    this.#renewal = { count: this.#renewal.count + 1, within }
    this.#holdings.reschedule(({ schedule }) => this.#hasten(schedule, within))
    this.#alarm.abort()
  }

  /** @see AGT-14 */
  evict(reason: string): void {
    this.#life++
    this.#renewals.close()
    this.#renewals = new OpenRenewals()
    this.#holdings.evict()
    this.#subscriptionError = new IdentityError("no-identity", `evicted by the server: ${reason}`)
    this.#settle()
  }

  /**
   * Go on with another key in place of this one. It is served until that is here, or the first try to get it has failed; for
   * {@link LONGEST_GRACE} at most.
   * @param key as bans name it @see AGT-47
   */
  evictKey(key: string): void {
    this.#renewals.evictKey(key)
    this.#holdings.discardStaged((holding) => this.#renewals.isEvicted(holding.key))
    this.#alarm.abort()
    const evicted = this.#holdings.allHeld().filter((holding) => this.#renewals.isEvicted(holding.key))
    if (evicted.length === 0) return
    for (const { issued } of evicted) {
      this.#deps.log.warn({ spiffeId: issued.spiffeId, serial: issued.serial }, "key evicted by the server: renewing")
    }
    this.#retries.forgive()
    this.#holdings.reschedule((one) => (evicted.includes(one) ? this.#hasten(one.schedule, 0) : one.schedule))
    this.#settle()
  }

  /** The subscription is down. When the server says that there is no identity, what is held goes too. @see AGT-04 */
  lost(error: IdentityError, takesAway: boolean): void {
    this.#subscriptionError = error
    if (takesAway) {
      this.#holdings.entitle([])
      this.#renewals.retain(() => false)
    }
    this.#settle()
  }

  /** Renew until `signal` aborts. Rejects on a bug only. */
  async run(signal: AbortSignal): Promise<void> {
    const jumps = new JumpWatch(this.#deps.clock)
    const wake = (): void => this.#alarm.abort()
    signal.addEventListener("abort", wake)
    while (!signal.aborted) {
      this.#noticeJump(jumps.jumped())
      this.#publish()
      this.#startOrders(signal)
      await this.#rest()
    }
    signal.removeEventListener("abort", wake)
    await this.#ordering
    this.#renewals.close()
  }

  #startOrders(signal: AbortSignal): void {
    if (this.#ordering !== undefined) return
    const ids = nextOrders(this.#holdings, this.#retries, this.#deps.clock)
    if (ids.length === 0) return
    this.#ordering = this.#order(ids, signal).finally(() => {
      this.#ordering = undefined
      this.#alarm.abort()
    })
  }

  async #order(ids: readonly SpiffeId[], signal: AbortSignal): Promise<void> {
    const life = this.#life
    const renewals = this.#renewal.count
    let results: readonly Ordered[]
    try {
      results = await orderSvids(ids, this.#deps, this.#renewals, this.#quotable(), signal)
    } catch (thrown) {
      if (!signal.aborted && life === this.#life) this.#failed(ids, toIdentityError(thrown))
      return
    }
    for (const result of results) {
      if (result.kind === "issued") this.#receive(result.holding, life, renewals)
      else if (life === this.#life) this.#failed([result.spiffeId], result.error)
    }
    this.#settle()
  }

  /** The epoch that is adopted here and handed on to all who cannot acknowledge; 0 for none. @see EV-3 */
  #quotable(): number {
    const epoch = this.#holdings.snapshot?.epoch ?? 0
    return Math.min(epoch, this.#deps.handedOn?.() ?? epoch)
  }

  #receive(holding: Holding, life: number, renewals: number): void {
    const { issued, key } = holding
    if (life !== this.#life || !this.#holdings.isEntitled(issued.spiffeId) || this.#renewals.isEvicted(key)) {
      key.pkcs8[Symbol.dispose]()
      return
    }
    // Whoever asked for a renewal while this one was on its way may have meant what signed it.
    const overtaken = renewals !== this.#renewal.count
    const schedule = overtaken ? this.#hasten(holding.schedule, this.#renewal.within) : holding.schedule
    this.#holdings.stage({ ...holding, schedule })
    this.#retries.succeeded(issued.spiffeId)
  }

  /** Release what may be served, show the outcome, and look at once for what to order. @see AGT-01 AGT-12 */
  #settle(): void {
    for (const holding of this.#holdings.releasable()) {
      const error = this.#verify(holding)
      if (error === undefined) this.#holdings.release(holding)
      else {
        this.#holdings.discard(holding.issued.spiffeId)
        this.#failed([holding.issued.spiffeId], error)
      }
    }
    this.#publish()
    this.#alarm.abort()
  }

  #verify({ issued, key }: Holding): IdentityError | undefined {
    const own = this.#holdings.snapshot?.own
    if (own === undefined) return new IdentityError("not-ready", "no bundle to verify the SVID with")
    try {
      this.#deps.verifyIssued(issued, key.publicKey, own, this.#deps.clock.now())
      return undefined
    } catch (cause) {
      return new IdentityError("not-ready", `the SVID does not verify: ${toIdentityError(cause).message}`, { cause })
    }
  }

  /** An SVID whose root left the bundle is served until its successor is here; no peer is harmed by it. @see AGT-12 */
  #renewWhatNobodyTrusts(snapshot: TrustSnapshot): void {
    this.#holdings.reschedule((holding) => {
      const isServed = this.#holdings.held(holding.issued.spiffeId) === holding
      if (!isServed || this.#verify(holding) === undefined) return holding.schedule
      this.#deps.log.warn(
        { spiffeId: holding.issued.spiffeId, epoch: snapshot.epoch },
        "svid no longer verifies: renewing",
      )
      return this.#hasten(holding.schedule, 0)
    })
  }

  #hasten(schedule: Holding["schedule"], within: Seconds): Holding["schedule"] {
    return hastenRenewal(schedule, within, this.#deps.clock, this.#deps.random)
  }

  #failed(ids: readonly SpiffeId[], error: IdentityError): void {
    const now = this.#deps.clock.now()
    this.#holdings.dropHeld(({ issued, key }) => ids.includes(issued.spiffeId) && this.#renewals.isEvicted(key))
    const lives = ids.flatMap((id) => this.#holdings.held(id)?.issued.notAfter ?? [])
    const atMost = lives.length === 0 ? undefined : (Math.max(0, Math.min(...lives) - now) * 1000) / 4
    const delay = this.#retries.failed(ids, error, atMost)
    const fields = {
      err: error,
      code: error.code,
      next: error.next,
      identities: ids.length,
      spiffeId: ids[0],
      retryMs: Math.round(delay),
    }
    this.#deps.log.warn(fields, "svid not renewed")
    this.#publish()
  }

  #noticeJump(moved: Millis): void {
    if (moved === 0) return
    this.#deps.log.warn({ movedMs: Math.round(moved) }, "the wall clock jumped: checking every svid")
    this.#retries.forgive()
  }

  /** A successor may be here and wait for a snapshot that does not come. @see AGT-47 */
  #dropEvicted(): void {
    const latest = this.#deps.clock.monotonic() - LONGEST_GRACE
    this.#holdings.dropHeld(({ issued, key, schedule }) => {
      // It is due since it was evicted, or longer.
      if (schedule.dueMonotonic > latest || !this.#renewals.isEvicted(key)) return false
      this.#deps.log.warn({ spiffeId: issued.spiffeId, serial: issued.serial }, "no successor of an evicted key came")
      return true
    })
  }

  #publish(): void {
    this.#dropEvicted()
    const now = this.#deps.clock.now()
    const expiries = this.#holdings.allHeld().map(({ issued }) => issued.notAfter)
    this.#holdings.dropExpired(now)
    if (this.#holdings.holdsAny) this.#expiredAt = undefined
    else if (expiries.length > 0) this.#expiredAt = Math.max(...expiries)
    const troubles = { subscription: this.#subscriptionError, expiredAt: this.#expiredAt }
    const state = describeState(this.#holdings, this.#retries, troubles, now)
    if (!this.#cell.set(state)) return
    if (state.kind === "ready") {
      const { snapshot, svids } = state.view
      this.#deps.log.info({ epoch: snapshot.epoch, identities: svids.length }, "identities ready")
    } else this.#deps.log.warn({ err: state.error, code: state.error.code }, `identities ${state.kind}`)
  }

  async #rest(): Promise<void> {
    this.#alarm = this.#alarm.signal.aborted ? new AbortController() : this.#alarm
    const { clock } = this.#deps
    const expiries = this.#holdings.allHeld().map(({ issued }) => (issued.notAfter - clock.now()) * 1000)
    const atMost = Math.max(0, Math.min(LONGEST_REST, ...expiries))
    const idle = this.#ordering !== undefined ? atMost : untilNextOrder(this.#holdings, this.#retries, clock, atMost)
    // A due moment counts in whole seconds of the wall clock, so a wait may end a little early; it must not spin then.
    await clock.sleep(Math.max(idle, SHORTEST_REST), this.#alarm.signal)
  }
}

/** What verified by `before` then verifies by `after`, so that thousands of chains need not be looked at for one new root. */
function keepsRoots(before: TrustBundle, after: TrustBundle): boolean {
  const roots = new Set(after.x509Authorities.map(base64))
  return before.x509Authorities.every((root) => roots.has(base64(root)))
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64")
}

const NO_TROUBLE = { subscription: undefined, expiredAt: undefined }
/** How long an evicted key is served without a successor. */
const LONGEST_GRACE: Millis = 30_000
/** A suspended machine stops its timers, so none is set for longer. */
const LONGEST_REST: Millis = 5_000
const SHORTEST_REST: Millis = 50
