import type { HeldSvid, IdentityView } from "../../app/deliver/identity-source.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { trustDomainId } from "../../core/spiffe/id.ts"
import type { X509BundlesResponse, X509SVID, X509SVIDResponse } from "../../gen/spiffe/workload.ts"
import { uniqueHints } from "./unique-hints.ts"
import { federatedBundles } from "./visible-bundles.ts"

/** The full set of the caller's X.509-SVIDs, default first. @see WA-04 WA-05 WA-10 WA-11 */
export function encodeX509Svids(view: IdentityView): X509SVIDResponse {
  const bundle = Buffer.concat(view.snapshot.own.x509Authorities)
  return {
    svids: uniqueHints(view.svids).map((svid) => encodeSvid(svid, bundle)),
    crl: [],
    federatedBundles: bundleMap(federatedBundles(view).filter(hasRoots)),
  }
}

/** Own trust domain first, then those the caller's identities federate with. @see WA-03 WA-12 */
export function encodeX509Bundles(view: IdentityView): X509BundlesResponse {
  return { crl: [], bundles: bundleMap([view.snapshot.own, ...federatedBundles(view).filter(hasRoots)]) }
}

/** A client that cannot read an empty bundle refuses all that comes with it, its own SVID among it. @see WA-18 */
function hasRoots({ x509Authorities }: TrustBundle): boolean {
  return x509Authorities.length > 0
}

function encodeSvid(svid: HeldSvid, bundle: Buffer): X509SVID {
  return {
    spiffeId: svid.spiffeId,
    x509Svid: Buffer.concat(svid.chain),
    x509SvidKey: svid.key.expose((bytes) => Buffer.from(bytes)),
    bundle,
    hint: svid.hint,
  }
}

function bundleMap(bundles: readonly TrustBundle[]): Record<string, Buffer> {
  return Object.fromEntries(
    bundles.map((bundle) => [trustDomainId(bundle.trustDomain), Buffer.concat(bundle.x509Authorities)]),
  )
}
