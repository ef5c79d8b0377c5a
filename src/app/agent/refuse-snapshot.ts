import type { TrustSnapshot } from "../../core/spiffe/bundle.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"

/** Why a snapshot must not be adopted, or `undefined` when it may be. @see AGT-15 */
export function refuseSnapshot(
  next: TrustSnapshot,
  held: TrustSnapshot | undefined,
  trustDomain: TrustDomain,
): string | undefined {
  if (next.own.trustDomain !== trustDomain)
    return `bundle is of trust domain ${next.own.trustDomain}, not ${trustDomain}`
  if (next.own.x509Authorities.length === 0) return "bundle has no X.509 authority"
  if (next.federated.some((bundle) => bundle.trustDomain === trustDomain))
    return "own trust domain is among the federated"
  if (held === undefined || held.incarnation !== next.incarnation || next.epoch >= held.epoch) return undefined
  return `epoch ${next.epoch} is older than epoch ${held.epoch}, which is held`
}
