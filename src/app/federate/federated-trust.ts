import { toIdentityError } from "../../core/errors.ts"
import { makeInTurn } from "../../core/in-turn.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { demandDeliverable, demandRoom } from "../../core/spiffe/bundle-bounds.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import { sameBundle } from "../../core/spiffe/same-bundle.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import { type Trouble, TroubleBook } from "../../core/trouble-book.ts"
import type { Clock } from "../../ports/clock.ts"
import type { FederatedBundles } from "../../ports/federated-bundles.ts"
import { type Accepted, openBundleKeeper } from "./bundle-keeper.ts"
import type { FederatedDomain, FederationEvents, Standby } from "./events.ts"

export interface FederatedTrustDeps {
  /** By the configuration in force, each once. */
  readonly wanted: () => readonly FederatedDomain[]
  /** What the file says now. @throws whatever is wrong with it */
  readonly read: (domain: FederatedDomain) => Promise<TrustBundle>
  /** Equal content changes nothing. @throws IdentityError when consumers do not get it */
  readonly publish: (bundles: readonly TrustBundle[]) => Promise<void>
  readonly store: FederatedBundles
  /** Of the own trust domain. */
  readonly incarnation: string
  readonly clock: Pick<Clock, "now">
  readonly events: FederationEvents
}

/** What is trusted of one other trust domain, and why. */
export interface FederatedFacts {
  readonly trustDomain: TrustDomain
  /** `kept`: its file is bad, and the last good bundle is in force. */
  readonly inForce: "file" | "kept" | "none"
  readonly bundle:
    | {
        readonly sequence: number
        readonly refreshHint: Seconds | undefined
        readonly x509Authorities: number
        readonly jwtAuthorities: number
        readonly acceptedAt: Instant
      }
    | undefined
  /** It is in the store, so that a start without the file would go on with it. */
  readonly stored: boolean
  /** What is wrong with the file. */
  readonly trouble: Trouble | undefined
}

/** The trust in other trust domains: as their files say, and as long as one is bad as it said last. */
export interface FederatedTrust {
  /**
   * Look at the configuration and every file, keep what is new, and publish. Looks go one after the other. @throws IdentityError when
   * publishing failed; the next one makes up for it @see TD-12 AUT-04
   */
  refresh(): Promise<void>
  /** In the order of the configuration. */
  facts(): readonly FederatedFacts[]
}

/** Nothing is read or published before the first {@link FederatedTrust.refresh}. @throws IdentityError when the store cannot be read */
export async function openFederatedTrust(deps: FederatedTrustDeps): Promise<FederatedTrust> {
  const { clock, events } = deps
  const troubles = new TroubleBook()
  const keeper = await openBundleKeeper({ ...deps, troubles })
  const stored = new Set(keeper.found.keys())
  const inForce = new Map<TrustDomain, Accepted>(keeper.found)
  let looked: readonly FederatedDomain[] = []
  let isBegun = false

  /** True when something was. What was known goes with it: when it comes back, its file alone counts. */
  const drop = (wanted: readonly FederatedDomain[]): boolean => {
    const isGone = (known: TrustDomain) => !wanted.some(({ trustDomain }) => trustDomain === known)
    for (const { trustDomain } of looked) if (isGone(trustDomain)) troubles.over(trustDomain)
    looked = wanted
    const gone = [...inForce.keys()].filter(isGone)
    for (const trustDomain of gone) {
      inForce.delete(trustDomain)
      events.dropped(trustDomain)
    }
    return gone.length > 0
  }
  const publish = async (wanted: readonly FederatedDomain[]): Promise<void> => {
    try {
      await deps.publish(wanted.flatMap(({ trustDomain }) => inForce.get(trustDomain)?.bundle ?? []))
      troubles.over(PUBLISHING)
    } catch (thrown) {
      const error = toIdentityError(thrown)
      if (troubles.seen(PUBLISHING, `${error.code} ${error.reason}`, clock.now())) events.publishFailed(error)
      throw error
    }
  }
  const accept = (bundle: TrustBundle): void => {
    demandDeliverable(bundle)
    const { trustDomain } = bundle
    const before = inForce.get(trustDomain)
    if (before === undefined || !sameBundle(before.bundle, bundle)) {
      const others = [...inForce.values()].filter((one) => one !== before)
      demandRoom([bundle, ...others.map((one) => one.bundle)])
      inForce.set(trustDomain, { bundle, acceptedAt: clock.now() })
      events.accepted(bundle, before?.bundle)
    }
    stored.delete(trustDomain)
  }
  const standbyOf = (trustDomain: TrustDomain): Standby => {
    if (!inForce.has(trustDomain)) return "none"
    return stored.has(trustDomain) ? "stored" : "last-read"
  }
  const look = async (domain: FederatedDomain): Promise<void> => {
    const { trustDomain } = domain
    try {
      accept(await deps.read(domain))
      if (troubles.over(trustDomain)) events.fileWell(domain)
    } catch (thrown) {
      const error = toIdentityError(thrown)
      if (troubles.seen(trustDomain, error.message, clock.now())) events.fileBad(domain, standbyOf(trustDomain), error)
    }
  }
  const refresh = async (): Promise<void> => {
    const wanted = deps.wanted()
    // Who takes a trust domain out does not wait for the files of others. At the start nobody has it, and what is kept may be older than they.
    if (drop(wanted) && isBegun) await publish(wanted)
    isBegun = true
    await Promise.all(wanted.map(look))
    await keeper.write(inForce)
    await publish(wanted)
  }
  const inTurn = makeInTurn()
  return {
    refresh: () => inTurn(refresh),
    facts: () =>
      deps.wanted().map(({ trustDomain }) => {
        const accepted = inForce.get(trustDomain)
        const trouble = troubles.find(trustDomain)
        return {
          trustDomain,
          inForce: accepted === undefined ? "none" : trouble === undefined ? "file" : "kept",
          bundle: accepted === undefined ? undefined : describe(accepted),
          stored: accepted !== undefined && keeper.has(accepted),
          trouble,
        }
      }),
  }
}

function describe({ bundle, acceptedAt }: Accepted): FederatedFacts["bundle"] {
  const { sequence, refreshHint, x509Authorities, jwtAuthorities } = bundle
  return {
    sequence,
    refreshHint,
    x509Authorities: x509Authorities.length,
    jwtAuthorities: jwtAuthorities.length,
    acceptedAt,
  }
}

/** No trust domain has this name. */
const PUBLISHING = "/publish"
