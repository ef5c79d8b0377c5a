import type { SpiffeId } from "../spiffe/id.ts"
import type { Instant } from "../time.ts"
import type { Attested } from "./attested.ts"

/** How a principal was proven. A fact for the audit log: no rule may look at it. @see SCA-09 */
export type ProofKind = "k8s-token" | "jwt-svid" | "x509-svid" | "access-token" | "external-token" | "private-key-jwt"

/** Who asks for a token, or about whom one is asked for. */
export interface PrincipalFacts {
  /** Every way to prove oneself ends in a SPIFFE ID, which is all that rules see. */
  readonly id: SpiffeId
  /** `client_id` in tokens: the SPIFFE ID, or the name under which a client is registered. */
  readonly clientId: string
  readonly proof: ProofKind
  /** Whose word it is: the cluster for a platform token, else the issuer or trust domain. Names it in audit records. */
  readonly source: string
  readonly expiresAt: Instant
  /** SHA-256 of the evidence: names it without holding it. */
  readonly evidenceDigest: Uint8Array
  /** What the platform vouched for, when that is how it was proven: for the issuance log, where pods are looked up. */
  readonly attested: Attested | undefined
}

/** A witness that a principal was proven. Only `app/attest` makes one (the layer test holds that). */
export class Principal {
  readonly facts: PrincipalFacts

  private constructor(facts: PrincipalFacts) {
    this.facts = facts
  }

  /** For `app/attest` alone. */
  static witness(facts: PrincipalFacts): Principal {
    return new Principal(Object.freeze(facts))
  }
}
