import { holderOf } from "../../core/authority/holder.ts"
import { banName } from "../../core/ban/ban.ts"
import type { BanSubject } from "../../core/ban/ban-index.ts"
import { makeChangeSignal } from "../../core/change-signal.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Decision, Grant } from "../../core/policy/grant.ts"
import type { TrustSnapshot } from "../../core/spiffe/bundle.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import type { Entitlement } from "../../ports/identity-authority.ts"
import type { AttestToken } from "../attest/attest-token.ts"
import type { BanView } from "../ban/ban-view.ts"
import { bannedError, isBannedError, refuseBanned, subjectOf } from "../ban/banned.ts"
import type { KeyHolders } from "../ban/key-holders.ts"
import type { LiveStreams } from "../ban/live-streams.ts"
import { requesterOf } from "../issue/intent.ts"
import { limitLife } from "./limit-life.ts"
import { type RenewOrders, wavePosition } from "./renew-orders.ts"

/** What a subscriber is told. */
export type SubscriberUpdate =
  | SubscriberSnapshot
  | { readonly kind: "renew"; readonly within: Seconds }
  /** To go on without this key, which is banned; named as bans do. */
  | { readonly kind: "evict-key"; readonly key: string }

/** The bundles it needs, and the identities it may ask for. */
export interface SubscriberSnapshot {
  readonly kind: "snapshot"
  /** Federated bundles are cut down to those its identities federate with. */
  readonly snapshot: TrustSnapshot
  readonly entitlements: readonly Entitlement[]
}

export interface WatchEntitlementsDeps {
  readonly attest: AttestToken
  readonly decide: (attested: Attested) => Decision
  readonly snapshot: () => TrustSnapshot
  /** Resolves at the next change of the snapshot or of the rules, or when `signal` aborts. Never rejects. */
  readonly changed: (signal: AbortSignal) => Promise<void>
  readonly now: () => Instant
  /** Whom a rotation asks to renew. */
  readonly renewals: Pick<RenewOrders, "orderFor" | "asked" | "changed">
  readonly bans: Pick<BanView, "match">
  /** Told of a stream that was refused to the banned. Nobody waits for it. @see BAN-06 */
  readonly refused: (attested: Attested, error: IdentityError) => void
  readonly streams: LiveStreams
  readonly keyHolders: Pick<KeyHolders, "bansOf">
}

/**
 * The current update at once, then the newest on each change, until `signal` aborts or the token expires (then it just ends,
 * and the subscriber comes back with a fresh one). A slow reader sees only the newest. Between them, once for each rotation, that it
 * shall renew, when it is its turn; and before them, once for each ban of a key for which it has a certificate, to do without that.
 * @throws IdentityError when the token does not attest, or the rules give it nothing; `policy-denied`, reason `banned`, as soon as
 * all that they give is banned
 */
export type WatchEntitlements = (
  token: string,
  evict: Evict,
  signal: AbortSignal,
) => AsyncGenerator<SubscriberUpdate, void, void>

/** Hears at once that all was banned, so that whoever waits for a reader that does not read can let go and ask for what comes next. */
export type Evict = (error: IdentityError) => void

export function makeWatchEntitlements(deps: WatchEntitlementsDeps): WatchEntitlements {
  return async function* watch(token, evict, signal) {
    const attested = await deps.attest(token, signal)
    const banned = banOfAll(deps, attested)
    if (banned !== undefined) deps.refused(attested, banned)
    using expiry = limitLife((attested.claims.expiresAt - deps.now()) * 1000)
    const until = AbortSignal.any([signal, expiry.signal])
    const touches = makeChangeSignal()
    const touched = () => {
      const error = banOfAll(deps, attested)
      if (error !== undefined) evict(error)
      touches.fire()
    }
    using stream = deps.streams.enter(() => everythingOf(deps, attested), touched)
    const renewals = followRenewals(deps.renewals, attested)
    const evictions = followEvictions(deps, attested)
    while (!until.aborted) {
      for (let key = evictions.next(); key !== undefined; key = evictions.next()) yield { kind: "evict-key", key }
      const settled = new AbortController()
      const wait = AbortSignal.any([until, settled.signal])
      const changed = Promise.race([deps.changed(wait), touches.changed(wait)]).then(() => true)
      try {
        const update = updateFor(deps, attested)
        stream.settled()
        yield update
        do {
          // Asked until there is nothing more: the order may be another one by when the reader has taken the one before.
          for (let within = renewals.next(); within !== undefined; within = renewals.next()) {
            yield { kind: "renew", within }
          }
        } while (!(await Promise.race([changed, renewals.changed(wait)])))
      } finally {
        settled.abort(SETTLED) // what lived from change to change would grow with each race
      }
    }
  }
}

/** The orders for one stream. */
function followRenewals(renewals: WatchEntitlementsDeps["renewals"], attested: Attested) {
  const position = wavePosition(attested.claims)
  const holder = holderOf(requesterOf(attested))
  let told = ""
  return {
    /** What it is asked for now and was not told yet. */
    next: (): Seconds | undefined => {
      const order = renewals.orderFor(holder)
      if (order === undefined || order.rotation === told || position >= order.share) return undefined
      told = order.rotation
      renewals.asked(holder)
      return order.within
    },
    /** Resolves to false at a change, to true when `signal` aborted. */
    changed: async (signal: AbortSignal): Promise<boolean> => {
      await renewals.changed(signal)
      return signal.aborted
    },
  }
}

/** The banned keys for one stream. One that was banned anew is told anew. @see BAN-16 */
function followEvictions(deps: WatchEntitlementsDeps, attested: Attested) {
  const told = new Set<number>()
  return {
    /** One that it holds and was not told yet. */
    next: (): string | undefined => {
      const found = deps.keyHolders.bansOf(everythingOf(deps, attested)).find(({ sequence }) => !told.has(sequence))
      if (found === undefined) return undefined
      told.add(found.sequence)
      return banName(found.ban.target)
    },
  }
}

function updateFor(deps: WatchEntitlementsDeps, attested: Attested): SubscriberSnapshot {
  const decision = deps.decide(attested)
  if (decision.kind === "refused") {
    throw new IdentityError(decision.code, decision.message, { reason: decision.reason })
  }
  const entitlements = unbanned(deps, attested, decision.grants).map(
    ({ id, hint, x509Ttl, jwtTtl, federatesWith }) => ({
      spiffeId: id,
      hint,
      x509Ttl,
      jwtTtl,
      federatesWith,
    }),
  )
  const wanted = new Set(entitlements.flatMap((entitlement) => entitlement.federatesWith))
  const snapshot = deps.snapshot()
  const federated = snapshot.federated.filter((bundle) => wanted.has(bundle.trustDomain))
  return { kind: "snapshot", snapshot: { ...snapshot, federated }, entitlements }
}

/** Why a stream of `attested` has to end now; `undefined`: something is left to it, or its rules have gone, which is no ban. */
function banOfAll(deps: WatchEntitlementsDeps, attested: Attested): IdentityError | undefined {
  try {
    updateFor(deps, attested)
    return undefined
  } catch (thrown) {
    const error = toIdentityError(thrown)
    return isBannedError(error) ? error : undefined
  }
}

/** @throws IdentityError `policy-denied`, reason `banned`, when nothing is left */
function unbanned({ bans }: WatchEntitlementsDeps, attested: Attested, grants: readonly Grant[]): readonly Grant[] {
  refuseBanned(bans, subjectOf(attested))
  const banned = grants.map(({ id }) => bans.match({ ids: [id], places: [], keys: [] }))
  const left = grants.filter((_, index) => banned[index] === undefined)
  if (left.length === 0) throw bannedError(banned[0])
  return left
}

/** By what a ban can concern the stream. */
function everythingOf({ decide }: WatchEntitlementsDeps, attested: Attested): BanSubject {
  const decision = decide(attested)
  return subjectOf(attested, ...(decision.kind === "granted" ? decision.grants.map(({ id }) => id) : []))
}

/** Nobody asks for it; without one, each abort would make an error with a stack. */
const SETTLED = "settled"
