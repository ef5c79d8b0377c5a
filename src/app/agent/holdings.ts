import type { TrustSnapshot } from "../../core/spiffe/bundle.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import type { Entitlement, X509Issued } from "../../ports/identity-authority.ts"
import type { WorkloadKey } from "../../ports/keys.ts"
import type { HeldSvid, IdentityView } from "../deliver/identity-source.ts"
import type { RenewalSchedule } from "./renewal-schedule.ts"

/** An SVID and its key. */
export interface Holding {
  readonly issued: X509Issued
  readonly key: WorkloadKey
  readonly schedule: RenewalSchedule
  /** From receipt to expiry. */
  readonly life: Seconds
}

/**
 * What the agent has: the newest snapshot, what it is entitled to, and per identity the SVID in use and at most one that
 * waits for its snapshot. Keys that were in a view are left to the garbage collector, since a reader may still hold it.
 */
export class Holdings {
  #snapshot: TrustSnapshot | undefined
  #entitlements: readonly Entitlement[] | undefined
  readonly #held = new Map<SpiffeId, Holding>()
  readonly #staged = new Map<SpiffeId, Holding>()

  get snapshot(): TrustSnapshot | undefined {
    return this.#snapshot
  }

  /** `undefined` while nobody said. */
  get entitlements(): readonly Entitlement[] | undefined {
    return this.#entitlements
  }

  get holdsAny(): boolean {
    return this.#held.size > 0
  }

  /** Take over a snapshot. What is no longer entitled is gone. @see AGT-02 AGT-04 */
  adopt(snapshot: TrustSnapshot, entitlements: readonly Entitlement[]): void {
    // Epochs of another incarnation do not compare, so what waits for one of them waits in vain.
    if (snapshot.incarnation !== this.#snapshot?.incarnation) this.discardStaged()
    this.#snapshot = snapshot
    this.entitle(entitlements)
  }

  entitle(entitlements: readonly Entitlement[]): void {
    this.#entitlements = entitlements
    const ids = new Set(entitlements.map(({ spiffeId }) => spiffeId))
    this.#drop(({ issued }) => !ids.has(issued.spiffeId))
  }

  /** Forget every SVID, and what we were entitled to. The snapshot stays: trust was not taken away. @see AGT-14 */
  evict(): void {
    this.#entitlements = undefined
    this.#held.clear()
    this.discardStaged()
  }

  isEntitled(id: SpiffeId): boolean {
    return this.#entitlements?.some(({ spiffeId }) => spiffeId === id) ?? false
  }

  /** Keep `holding` until {@link releasable} says that it may be served. */
  stage(holding: Holding): void {
    this.discard(holding.issued.spiffeId)
    this.#staged.set(holding.issued.spiffeId, holding)
  }

  /** Those whose snapshot is here. @see AGT-01 */
  releasable(): readonly Holding[] {
    const epoch = this.#snapshot?.epoch ?? -1
    return [...this.#staged.values()].filter(({ issued }) => issued.epoch <= epoch)
  }

  /** Serve it from now on. */
  release(holding: Holding): void {
    this.#staged.delete(holding.issued.spiffeId)
    this.#held.set(holding.issued.spiffeId, holding)
  }

  /** Serve no more of them. */
  dropHeld(which: (holding: Holding) => boolean): void {
    for (const [id, holding] of this.#held) if (which(holding)) this.#held.delete(id)
  }

  /** Drop one that never was served. */
  discard(id: SpiffeId): void {
    this.#staged.get(id)?.key.pkcs8[Symbol.dispose]()
    this.#staged.delete(id)
  }

  discardStaged(which: (holding: Holding) => boolean = () => true): void {
    for (const [id, holding] of this.#staged) if (which(holding)) this.discard(id)
  }

  dropExpired(now: Instant): void {
    this.#drop(({ issued }) => issued.notAfter <= now)
  }

  held(id: SpiffeId): Holding | undefined {
    return this.#held.get(id)
  }

  /** The one whose renewal comes next, served or not. */
  newest(id: SpiffeId): Holding | undefined {
    return this.#staged.get(id) ?? this.#held.get(id)
  }

  allHeld(): readonly Holding[] {
    return [...this.#held.values()]
  }

  /** Change when every SVID is due. */
  reschedule(change: (holding: Holding) => RenewalSchedule): void {
    for (const map of [this.#held, this.#staged]) {
      for (const [id, holding] of map) map.set(id, { ...holding, schedule: change(holding) })
    }
  }

  /** What consumers may see, or `undefined` when there is nothing to see. */
  view(now: Instant): IdentityView | undefined {
    const svids = (this.#entitlements ?? []).flatMap((entitlement): readonly HeldSvid[] => {
      const holding = this.#held.get(entitlement.spiffeId)
      return holding === undefined || holding.issued.notAfter <= now ? [] : [toHeldSvid(holding, entitlement)]
    })
    if (this.#snapshot === undefined || svids.length === 0) return undefined
    return Object.freeze({ snapshot: this.#snapshot, svids: Object.freeze(svids) })
  }

  #drop(which: (holding: Holding) => boolean): void {
    this.dropHeld(which)
    this.discardStaged(which)
  }
}

/** Hint and federation come from the newest entitlement, so a change of rule shows without a new SVID. */
function toHeldSvid({ issued, key, life }: Holding, { spiffeId, hint, federatesWith }: Entitlement): HeldSvid {
  return Object.freeze({
    spiffeId,
    hint,
    chain: issued.chain,
    key: key.pkcs8,
    notAfter: issued.notAfter,
    life,
    federatesWith,
  })
}
