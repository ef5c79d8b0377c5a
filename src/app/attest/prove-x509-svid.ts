import { createHash } from "node:crypto"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import { Principal } from "../../core/policy/principal.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { isReserved, parseWorkloadId, trustDomainOf } from "../../core/spiffe/id.ts"
import { verifySvidChain } from "../../core/x509/path.ts"
import type { Clock } from "../../ports/clock.ts"
import { refuseAs } from "./token-refused.ts"

export interface ProveX509SvidDeps {
  /** Of the own trust domain and of those that are federated with it. */
  readonly bundles: () => readonly TrustBundle[]
  readonly clock: Clock
}

/** A client whose certificate was shown in the handshake, and to which tokens can be bound. */
export interface ProvenCertificate {
  readonly principal: Principal
  /** SHA-256 of the leaf's DER, base64url: the value of `cnf`. @see MT-03 */
  readonly x5t: string
}

/**
 * Prove by the X.509-SVID of a TLS connection, whose key the handshake has proven. @param chain DER, leaf first
 * @throws IdentityError `unauthenticated` with a `RequestReason` @see SCA-05 MT-02
 */
export type ProveX509Svid = (chain: readonly Uint8Array[], clientId: string) => ProvenCertificate

export function makeProveX509Svid(deps: ProveX509SvidDeps): ProveX509Svid {
  return (chain, clientId) => {
    const { trustDomain, claimed } = refuseAs("client-id-mismatch", () => {
      const claimed = parseWorkloadId(clientId)
      return { claimed, trustDomain: trustDomainOf(claimed) }
    })
    const bundle = deps.bundles().find((one) => one.trustDomain === trustDomain)
    if (bundle === undefined || isReserved(claimed)) throw requestRefusal("client-certificate-invalid")
    const svid = refuseAs("client-certificate-invalid", () => verifySvidChain(chain, bundle, deps.clock.now()))
    if (svid.spiffeId !== claimed) throw requestRefusal("client-id-mismatch")
    const digest = createHash("sha256").update(svid.leaf.der).digest()
    return {
      principal: Principal.witness({
        id: svid.spiffeId,
        clientId: svid.spiffeId,
        proof: "x509-svid",
        source: trustDomain,
        expiresAt: svid.notAfter,
        evidenceDigest: digest,
        attested: undefined,
      }),
      x5t: digest.toString("base64url"),
    }
  }
}
