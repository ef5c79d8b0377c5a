import { createHash } from "node:crypto"
import { keyNameOf } from "../../core/ban/key-name.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import { Principal } from "../../core/policy/principal.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { isReserved, parseWorkloadId, trustDomainOf } from "../../core/spiffe/id.ts"
import { verifySvidChain } from "../../core/x509/path.ts"
import type { Clock } from "../../ports/clock.ts"
import { bannedError } from "../ban/banned.ts"
import type { DenyToken } from "../ban/deny-token.ts"
import { refuseAs } from "./token-refused.ts"

export interface ProveX509SvidDeps {
  /** Of the own trust domain and of those that are federated with it. */
  readonly bundles: () => readonly TrustBundle[]
  readonly clock: Clock
  readonly deny: DenyToken
}

/** A client whose certificate was shown in the handshake, and to which tokens can be bound. */
export interface ProvenCertificate {
  readonly principal: Principal
  /** SHA-256 of the leaf's DER, base64url: the value of `cnf`. @see MT-03 */
  readonly x5t: string
}

/**
 * Prove by the X.509-SVID of a TLS connection, whose key the handshake has proven. @param chain DER, leaf first
 * @throws IdentityError `unauthenticated` with a `RequestReason`; `policy-denied`, reason `banned` @see SCA-05 MT-02 BAN-08
 */
export type ProveX509Svid = (chain: readonly Uint8Array[], clientId: string) => Promise<ProvenCertificate>

export function makeProveX509Svid(deps: ProveX509SvidDeps): ProveX509Svid {
  return async (chain, clientId) => {
    const { trustDomain, claimed } = refuseAs("client-id-mismatch", () => {
      const claimed = parseWorkloadId(clientId)
      return { claimed, trustDomain: trustDomainOf(claimed) }
    })
    const bundle = deps.bundles().find((one) => one.trustDomain === trustDomain)
    if (bundle === undefined || isReserved(claimed)) throw requestRefusal("client-certificate-invalid")
    const svid = refuseAs("client-certificate-invalid", () => verifySvidChain(chain, bundle, deps.clock.now()))
    if (svid.spiffeId !== claimed) throw requestRefusal("client-id-mismatch")
    // A certificate is worth nothing while its holder is banned, and what it was once the ban is lifted: it proves who is there now.
    const { serial: tokenId, spki } = svid.leaf
    const shown = { tokenId, subjects: [svid.spiffeId], issuedAt: Number.POSITIVE_INFINITY, keys: [keyNameOf(spki)] }
    if (await deps.deny(shown)) throw bannedError()
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
