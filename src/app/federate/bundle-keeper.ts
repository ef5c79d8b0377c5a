import { createHash } from "node:crypto"
import type { AuditEvent } from "../../core/audit/event.ts"
import { toIdentityError } from "../../core/errors.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import { sameBundle } from "../../core/spiffe/same-bundle.ts"
import type { Instant } from "../../core/time.ts"
import type { TroubleBook } from "../../core/trouble-book.ts"
import type { Clock } from "../../ports/clock.ts"
import type { FederatedBundles, KeptBundle } from "../../ports/federated-bundles.ts"
import type { FederationEvents } from "./events.ts"

/** A bundle in force, and since when. */
export interface Accepted {
  readonly bundle: TrustBundle
  readonly acceptedAt: Instant
}

/** Keeps in the store what is in force. */
export interface BundleKeeper {
  /** What the store knew at the start, of this incarnation. @see TD-13 TD-17 */
  readonly found: ReadonlyMap<TrustDomain, Accepted>
  /** Bring the store to what is in force, and to no more. Never rejects: what failed is told, and written the next time. */
  write(inForce: ReadonlyMap<TrustDomain, Accepted>): Promise<void>
  /** True when the store is known to have exactly this. */
  has(accepted: Accepted): boolean
}

export interface BundleKeeperDeps {
  readonly store: FederatedBundles
  /** Of the own trust domain. It is another one after a restore. */
  readonly incarnation: string
  readonly clock: Pick<Clock, "now">
  readonly events: FederationEvents
  readonly troubles: TroubleBook
}

/** @throws IdentityError when the store cannot be read */
export async function openBundleKeeper(deps: BundleKeeperDeps): Promise<BundleKeeper> {
  const { store, incarnation, clock, events, troubles } = deps
  const rows = await store.list()
  // `undefined`: a write failed, so that nobody knows what is there.
  const known = new Map<TrustDomain, KeptBundle | undefined>(rows.map((row) => [row.bundle.trustDomain, row]))
  const found = new Map(rows.filter((row) => row.incarnation === incarnation).map((row) => [nameOf(row), row]))
  const has = ({ bundle, acceptedAt }: Accepted): boolean => {
    const row = known.get(bundle.trustDomain)
    return row?.incarnation === incarnation && row.acceptedAt === acceptedAt && sameBundle(row.bundle, bundle)
  }
  const keep = async ({ bundle, acceptedAt }: Accepted): Promise<void> => {
    const kept: KeptBundle = { bundle, acceptedAt, incarnation }
    known.set(bundle.trustDomain, undefined)
    await store.keep(kept, acceptedEvent(bundle, clock.now()))
    known.set(bundle.trustDomain, kept)
  }
  const forget = async (trustDomain: TrustDomain): Promise<void> => {
    const row = known.get(trustDomain)
    const reason = row === undefined || row.incarnation === incarnation ? "not-configured" : "restored"
    known.set(trustDomain, undefined)
    await store.forget(trustDomain, { ...SERVER, type: "federation.forgotten", at: clock.now(), trustDomain, reason })
    known.delete(trustDomain)
  }
  return {
    found,
    has,
    write: async (inForce) => {
      const gone = [...known.keys()].filter((trustDomain) => !inForce.has(trustDomain))
      const news = [...inForce.values()].filter((accepted) => !has(accepted))
      const done = await Promise.allSettled([...gone.map(forget), ...news.map(keep)])
      const failed = done.find((one) => one.status === "rejected")
      if (failed !== undefined) {
        const error = toIdentityError(failed.reason)
        events.keepFailed(error, troubles.seen(STORE, `${error.code} ${error.reason}`, clock.now()))
      } else if (troubles.over(STORE)) events.keptAgain()
    },
  }
}

function nameOf({ bundle }: KeptBundle): TrustDomain {
  return bundle.trustDomain
}

function acceptedEvent(
  { trustDomain, sequence, x509Authorities, jwtAuthorities }: TrustBundle,
  at: Instant,
): AuditEvent {
  return {
    ...SERVER,
    type: "federation.accepted",
    at,
    trustDomain,
    bundleSequence: sequence,
    x509Authorities: x509Authorities.slice(0, MAX_NAMED).map(fingerprint),
    x509Count: x509Authorities.length,
    jwtAuthorities: jwtAuthorities.slice(0, MAX_NAMED).map(({ kid }) => kid.toWellFormed()),
    jwtCount: jwtAuthorities.length,
  }
}

function fingerprint(der: Uint8Array): string {
  return createHash("sha256").update(der).digest("hex")
}

const SERVER = { actor: "server", requestId: "federation" } as const
const MAX_NAMED = 64
/** No trust domain has this name. */
const STORE = "/store"
