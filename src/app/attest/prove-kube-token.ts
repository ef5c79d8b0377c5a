import { IdentityError } from "../../core/errors.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Decision } from "../../core/policy/grant.ts"
import { Principal } from "../../core/policy/principal.ts"
import type { AttestToken } from "./attest-token.ts"
import { type ProvenToken, plainToken } from "./proven-token.ts"

export interface ProveKubeTokenDeps {
  readonly attest: AttestToken
  readonly decide: (attested: Attested) => Decision
}

/**
 * Prove by a Kubernetes service-account token. The identity is the one that the identity rules give, `wanted` or else the
 * default one. @throws IdentityError as `AttestToken`; `no-identity` @see TX-02 ATT-01
 */
export type ProveKubeToken = (token: string, wanted: string | undefined, signal: AbortSignal) => Promise<ProvenToken>

export function makeProveKubeToken({ attest, decide }: ProveKubeTokenDeps): ProveKubeToken {
  return async (token, wanted, signal) => {
    const attested = await attest(token, signal)
    const decision = decide(attested)
    if (decision.kind === "refused") {
      throw new IdentityError(decision.code, decision.message, { reason: decision.reason })
    }
    const grant = wanted === undefined ? decision.grants[0] : decision.grants.find(({ id }) => id === wanted)
    if (grant === undefined) {
      throw new IdentityError("no-identity", "the rules do not give this identity to the caller", {
        reason: "identity-not-granted",
      })
    }
    const { cluster, expiresAt, evidenceDigest } = attested.claims
    return plainToken(
      Principal.witness({
        id: grant.id,
        clientId: grant.id,
        proof: "k8s-token",
        source: cluster,
        expiresAt,
        evidenceDigest,
        attested,
      }),
    )
  }
}
