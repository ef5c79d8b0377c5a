import type { IdentityView } from "../../app/deliver/identity-source.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"

/** Bundles of the trust domains that the caller's identities federate with, ordered by name. */
export function federatedBundles(view: IdentityView): readonly TrustBundle[] {
  const wanted = new Set(view.svids.flatMap((svid) => svid.federatesWith))
  return view.snapshot.federated
    .filter(({ trustDomain }) => wanted.has(trustDomain) && trustDomain !== view.snapshot.own.trustDomain)
    .toSorted((left, right) => (left.trustDomain < right.trustDomain ? -1 : 1))
}

/** Every bundle that the caller may verify with: its own trust domain's, then {@link federatedBundles}. @see WA-12 */
export function visibleBundles(view: IdentityView): readonly TrustBundle[] {
  return [view.snapshot.own, ...federatedBundles(view)]
}
