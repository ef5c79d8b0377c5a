import { IdentityError } from "../../core/errors.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Decision } from "../../core/policy/grant.ts"
import type { TrustSnapshot } from "../../core/spiffe/bundle.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import type { Entitlement } from "../../ports/identity-authority.ts"
import type { AttestToken } from "../attest/attest-token.ts"
import { type RenewOrders, wavePosition } from "./renew-orders.ts"

/** What a subscriber is told. */
export type SubscriberUpdate = SubscriberSnapshot | { readonly kind: "renew"; readonly within: Seconds }

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
  readonly renewals: Pick<RenewOrders, "order" | "changed">
}

/**
 * The current update at once, then the newest on each change, until `signal` aborts or the token expires (then it just ends,
 * and the subscriber comes back with a fresh one). A slow reader sees only the newest. Between them, once for each rotation, that it
 * shall renew, when it is its turn.
 * @throws IdentityError when the token does not attest, or the rules give it nothing
 */
export type WatchEntitlements = (token: string, signal: AbortSignal) => AsyncGenerator<SubscriberUpdate, void, void>

export function makeWatchEntitlements(deps: WatchEntitlementsDeps): WatchEntitlements {
  return async function* watch(token, signal) {
    const attested = await deps.attest(token, signal)
    const expiry = expirySignal(attested.claims.expiresAt - deps.now())
    const until = AbortSignal.any([signal, expiry])
    const renewals = followRenewals(deps.renewals, wavePosition(attested.claims), until)
    while (!until.aborted) {
      const changed = deps.changed(until).then(() => true)
      yield updateFor(deps, attested)
      do {
        const within = renewals.next()
        if (within !== undefined) yield { kind: "renew", within }
      } while (!(await Promise.race([changed, renewals.changed()])))
    }
  }
}

/** The orders for one stream. At most one promise waits at a time, however often the snapshot changes. */
function followRenewals(renewals: WatchEntitlementsDeps["renewals"], position: number, until: AbortSignal) {
  let told = ""
  let waiting: Promise<boolean> | undefined
  return {
    /** What it is asked for now and was not told yet. */
    next: (): Seconds | undefined => {
      const order = renewals.order
      if (order === undefined || order.rotation === told || position >= order.share) return undefined
      told = order.rotation
      return order.within
    },
    /** Resolves to false at a change, to true when it is over. */
    changed: (): Promise<boolean> => {
      waiting ??= renewals.changed(until).then(() => {
        waiting = undefined
        return until.aborted
      })
      return waiting
    },
  }
}

function updateFor(deps: WatchEntitlementsDeps, attested: Attested): SubscriberSnapshot {
  const decision = deps.decide(attested)
  if (decision.kind === "refused") {
    throw new IdentityError(decision.code, decision.message, { reason: decision.reason })
  }
  const entitlements = decision.grants.map(({ id, hint, x509Ttl, jwtTtl, federatesWith }) => ({
    spiffeId: id,
    hint,
    x509Ttl,
    jwtTtl,
    federatesWith,
  }))
  const wanted = new Set(entitlements.flatMap((entitlement) => entitlement.federatesWith))
  const snapshot = deps.snapshot()
  const federated = snapshot.federated.filter((bundle) => wanted.has(bundle.trustDomain))
  return { kind: "snapshot", snapshot: { ...snapshot, federated }, entitlements }
}

function expirySignal(seconds: number): AbortSignal {
  return AbortSignal.timeout(Math.min(Math.max(0, seconds) * 1000, MAX_TIMEOUT))
}

/** Timers beyond this overflow. */
const MAX_TIMEOUT = 2 ** 31 - 1
