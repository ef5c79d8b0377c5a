import type { HeldSvid, IdentityView } from "../../app/deliver/identity-source.ts"
import { trustDomainId } from "../../core/spiffe/id.ts"
import type { X509BundlesResponse, X509SVID, X509SVIDResponse } from "../../gen/spiffe/workload.ts"
import { uniqueHints } from "./unique-hints.ts"
import { federatedBundles, visibleBundles } from "./visible-bundles.ts"

/** The full set of the caller's X.509-SVIDs, default first. @see WA-04 WA-05 WA-10 WA-11 */
export function encodeX509Svids(view: IdentityView): X509SVIDResponse {
  const bundle = Buffer.concat(view.snapshot.own.x509Authorities)
  return {
    svids: uniqueHints(view.svids).map((svid) => encodeSvid(svid, bundle)),
    crl: [],
    federatedBundles: bundleMap(federatedBundles(view)),
  }
}

/** Own trust domain first, then those the caller's identities federate with. @see WA-03 WA-12 */
export function encodeX509Bundles(view: IdentityView): X509BundlesResponse {
  return { crl: [], bundles: bundleMap(visibleBundles(view)) }
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

function bundleMap(bundles: ReturnType<typeof visibleBundles>): Record<string, Buffer> {
  return Object.fromEntries(
    bundles.map((bundle) => [trustDomainId(bundle.trustDomain), Buffer.concat(bundle.x509Authorities)]),
  )
}
