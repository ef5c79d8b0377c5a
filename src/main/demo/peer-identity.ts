import type { DetailedPeerCertificate, PeerCertificate } from "node:tls"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { type SpiffeId, trustDomainOf } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import { verifySvidChain } from "../../core/x509/path.ts"
import type { X509Svid } from "../../ports/workload-api.ts"

/** Who is at the other end of a TLS connection. */
export interface PeerIdentity {
  readonly spiffeId: SpiffeId
  /** Lowercase hex. */
  readonly serial: string
}

/**
 * The identity in a peer's chain, verified by the bundle that `own` came with.
 * @throws IdentityError `unauthenticated` when the chain does not verify
 */
export function verifyPeer(chain: readonly Uint8Array[], own: X509Svid, now: Instant): PeerIdentity {
  const bundle = {
    trustDomain: trustDomainOf(own.spiffeId),
    x509Authorities: own.bundle,
    jwtAuthorities: [],
    sequence: 0,
    refreshHint: undefined,
  }
  const { spiffeId, leaf } = verifySvidChain(chain, bundle, now)
  return { spiffeId, serial: leaf.serial }
}

/** Exact match: one ID, no prefix, no pattern. @throws IdentityError `policy-denied` */
export function requireIdentity({ spiffeId }: PeerIdentity, allowed: SpiffeId): void {
  if (spiffeId === allowed) return
  throw new IdentityError("policy-denied", `the peer is ${spiffeId}, and only ${allowed} is allowed`, {
    reason: "peer-identity",
  })
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

/** True for a refusal that is about who the peer is, and not about TLS. */
export function isIdentityRefusal(thrown: unknown): boolean {
  return toIdentityError(thrown).reason === "peer-identity"
}

const MAX_CHAIN = 8
