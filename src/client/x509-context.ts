import { createPrivateKey, X509Certificate } from "node:crypto"
import { IdentityError } from "../core/errors.ts"
import type { TrustBundle } from "../core/spiffe/bundle.ts"
import { parseSpiffeId, type TrustDomain, trustDomainOf } from "../core/spiffe/id.ts"
import type { Instant } from "../core/time.ts"
import { parseCertificate } from "../core/x509/certificate.ts"
import type { X509Material, X509Svid } from "../ports/workload-api.ts"

/** CA certificates by trust domain: those of the own one and of each that it federates with. They hold no JWT keys. */
export type X509Bundles = ReadonlyMap<TrustDomain, TrustBundle>

/** What a workload proves itself with and verifies others by, as of one message of the Workload API. */
export interface X509Context {
  readonly svid: X509Svid
  /** When the SVID expires. */
  readonly expiresAt: Instant
  readonly bundles: X509Bundles
}

/** Chooses the SVID to use of those that the workload has, at least one; the first is the default. `undefined`: none will do. */
export type PickSvid = (svids: readonly X509Svid[]) => X509Svid | undefined

/**
 * Read one message whole, or refuse it whole.
 * @throws IdentityError `malformed` when its certificates cannot be read or its key is not that of its certificate;
 * `no-identity` when `pick` takes none
 */
export function readX509Context(material: X509Material, pick: PickSvid): X509Context {
  const svid = pick(material.svids)
  if (svid === undefined) throw new IdentityError("no-identity", "none of the SVIDs is the one that is wanted")
  const [leaf] = svid.chain
  if (leaf === undefined) throw new IdentityError("malformed", "the Workload API sent an SVID without certificate")
  requireKeyOf(leaf, svid)
  const bundles = new Map<TrustDomain, TrustBundle>()
  for (const [id, authorities] of material.federated) addBundle(bundles, trustDomainOf(parseSpiffeId(id)), authorities)
  for (const { spiffeId, bundle } of material.svids) addBundle(bundles, trustDomainOf(spiffeId), bundle)
  return { svid, expiresAt: parseCertificate(leaf).notAfter, bundles }
}

function addBundle(
  bundles: Map<TrustDomain, TrustBundle>,
  trustDomain: TrustDomain,
  x509Authorities: readonly Uint8Array[],
): void {
  for (const authority of x509Authorities) parseCertificate(authority)
  bundles.set(trustDomain, { trustDomain, x509Authorities, jwtAuthorities: [], sequence: 0, refreshHint: undefined })
}

function requireKeyOf(leaf: Uint8Array, { key }: X509Svid): void {
  try {
    const privateKey = key.expose((der) => createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" }))
    if (new X509Certificate(leaf).checkPrivateKey(privateKey)) return
  } catch (cause) {
    throw new IdentityError("malformed", "the Workload API sent a key that cannot be read", { cause })
  }
  throw new IdentityError("malformed", "the Workload API sent a key that is not that of its certificate")
}
