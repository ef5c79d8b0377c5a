import { IdentityError } from "../../core/errors.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Decision } from "../../core/policy/grant.ts"
import type { TrustSnapshot } from "../../core/spiffe/bundle.ts"
import type { Instant } from "../../core/time.ts"
import type { Entitlement } from "../../ports/identity-authority.ts"
import type { AttestToken } from "../attest/attest-token.ts"

/** What a subscriber is told: the bundles it needs, and the identities it may ask for. */
export interface SubscriberUpdate {
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
}

/**
 * The current update at once, then the newest on each change, until `signal` aborts or the token expires (then it just ends,
 * and the subscriber comes back with a fresh one). A slow reader sees only the newest.
 * @throws IdentityError when the token does not attest, or the rules give it nothing
 */
export type WatchEntitlements = (token: string, signal: AbortSignal) => AsyncGenerator<SubscriberUpdate, void, void>

export function makeWatchEntitlements(deps: WatchEntitlementsDeps): WatchEntitlements {
  return async function* watch(token, signal) {
    const attested = await deps.attest(token, signal)
    const expiry = expirySignal(attested.claims.expiresAt - deps.now())
    const until = AbortSignal.any([signal, expiry])
    while (!until.aborted) {
      const changed = deps.changed(until)
      yield updateFor(deps, attested)
      await changed
    }
  }
}

function updateFor(deps: WatchEntitlementsDeps, attested: Attested): SubscriberUpdate {
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
  return { snapshot: { ...snapshot, federated }, entitlements }
}

function expirySignal(seconds: number): AbortSignal {
  return AbortSignal.timeout(Math.min(Math.max(0, seconds) * 1000, MAX_TIMEOUT))
}

/** Timers beyond this overflow. */
const MAX_TIMEOUT = 2 ** 31 - 1
