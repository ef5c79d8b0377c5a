import { hash } from "node:crypto"
import type { DetailedPeerCertificate, PeerCertificate } from "node:tls"
import { IdentityError } from "../core/errors.ts"
import { parseWorkloadId, type SpiffeId, trustDomainOf } from "../core/spiffe/id.ts"
import type { Instant } from "../core/time.ts"
import { parseCertificate } from "../core/x509/certificate.ts"
import { verifySvidChain } from "../core/x509/path.ts"
import type { Authorize } from "./authorize.ts"
import type { X509Bundles } from "./x509-context.ts"

/** Who is at the other end of a connection; its chain is verified. */
export interface PeerIdentity {
  readonly spiffeId: SpiffeId
  /** Of its certificate, lowercase hex. */
  readonly serial: string
  /** SHA-256 of its certificate, base64url: what tokens are bound to by `cnf.x5t#S256`. */
  readonly thumbprint: string
}

/**
 * The identity in a chain, verified by the bundle of the trust domain that it names and by no other, and let in.
 * @param chain DER, leaf first
 * @throws IdentityError `unauthenticated` when the chain does not verify; `policy-denied`, reason `peer-identity`, when
 * `authorize` does not let it in @see CLT-05 CLT-06
 */
export function verifyPeer(
  chain: readonly Uint8Array[],
  bundles: X509Bundles,
  authorize: Authorize,
  now: Instant,
): PeerIdentity {
  const peer = verifyChain(chain, bundles, now)
  requireAuthorized(peer.spiffeId, authorize)
  return peer
}

/** {@link verifyPeer} without asking who may be there. @throws IdentityError `unauthenticated` */
export function verifyChain(chain: readonly Uint8Array[], bundles: X509Bundles, now: Instant): PeerIdentity {
  const [leaf] = chain
  if (leaf === undefined) throw unauthenticated("the peer showed no certificate", "peer-certificate-missing")
  const bundle = bundles.get(trustDomainOf(claimedId(leaf)))
  if (bundle === undefined) {
    throw unauthenticated("there is no bundle for the trust domain of the peer", "peer-trust-domain")
  }
  const verified = verifySvidChain(chain, bundle, now)
  return { spiffeId: verified.spiffeId, serial: verified.leaf.serial, thumbprint: certificateThumbprint(leaf) }
}

/** @throws IdentityError `policy-denied`, reason `peer-identity` */
export function requireAuthorized(peer: SpiffeId, authorize: Authorize): void {
  // Compared with `true`, so that a promise, which is truthy, lets nobody in.
  if (authorize(peer) === true) return
  throw new IdentityError("policy-denied", `the peer is ${peer}, which is not allowed`, { reason: "peer-identity" })
}

/** SHA-256 of a certificate's DER, base64url. @see MT-03 */
export function certificateThumbprint(der: Uint8Array): string {
  return hash("sha256", der, "base64url")
}

/** DER of what the peer showed, leaf first. Nothing in it is verified; empty when the peer showed nothing. */
export function chainOf(leaf: PeerCertificate | DetailedPeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  let next: PeerCertificate | DetailedPeerCertificate | undefined = leaf
  while (next?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(next.raw)
    // The anchor names itself as its issuer, which ends the walk.
    next = "issuerCertificate" in next && next.issuerCertificate !== next ? next.issuerCertificate : undefined
  }
  return chain
}

/** What a certificate says it is; the path check comes to the same ID or refuses. */
function claimedId(leaf: Uint8Array): SpiffeId {
  const [uri] = parseCertificate(leaf).uriNames
  if (uri === undefined) throw unauthenticated("the certificate of the peer names no SPIFFE ID", "peer-certificate")
  try {
    return parseWorkloadId(uri)
  } catch (cause) {
    throw unauthenticated("the certificate of the peer names no SPIFFE ID", "peer-certificate", cause)
  }
}

function unauthenticated(message: string, reason: string, cause?: unknown): IdentityError {
  return new IdentityError("unauthenticated", message, { reason, cause })
}

const MAX_CHAIN = 8
