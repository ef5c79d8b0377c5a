import { type ErrorCode, IdentityError } from "../../core/errors.ts"
import type { Seconds } from "../../core/time.ts"

/** Why evidence was not accepted. Stable: clients, tests and dashboards know these. @see ATT-19 */
export type AttestationReason = keyof typeof REFUSALS

/** The error for a reason. `cause` is for the log. */
export function attestationRefusal(reason: AttestationReason, cause?: unknown): IdentityError {
  const row: Row = REFUSALS[reason]
  return new IdentityError(row.code, row.message, {
    reason,
    cause,
    ...(row.retryAfter === undefined ? {} : { retryAfter: row.retryAfter }),
  })
}

interface Row {
  readonly code: ErrorCode
  readonly message: string
  readonly retryAfter?: Seconds
}

/**
 * `unauthenticated`: not shown to be a token of ours that is in date. `attestation-denied`: a true token that the cluster,
 * or what is configured for it, refuses.
 */
export const REFUSALS = {
  "token-malformed": {
    code: "unauthenticated",
    message:
      "the token is not a JSON web token that is accepted here; send the text of a projected service-account token",
  },
  "legacy-token": {
    code: "unauthenticated",
    message: "service-account tokens from Secrets are not accepted; mount a projected token with an audience instead",
  },
  "issuer-unknown": {
    code: "unauthenticated",
    message: "no cluster is configured with the issuer of this token; compare its iss claim with the server's clusters",
  },
  "signature-invalid": {
    code: "unauthenticated",
    message: "no signing key of the cluster verifies this token; check that it comes from the cluster its issuer names",
  },
  "cluster-ambiguous": {
    code: "unauthenticated",
    message: "the token verifies for more than one configured cluster; clusters must not share signing keys",
  },
  "claims-invalid": {
    code: "unauthenticated",
    message: "the claims of the token are not those of a service-account token",
  },
  "token-expired": {
    code: "unauthenticated",
    message: "the token has expired; read the projected token file again",
  },
  "token-not-yet-valid": {
    code: "unauthenticated",
    message: "the token is not valid yet; compare the clocks of the cluster and of this server",
  },
  "audience-mismatch": {
    code: "unauthenticated",
    message: "the token is for another audience, or for others as well; request it for this server's audience alone",
  },
  "pod-binding-missing": {
    code: "attestation-denied",
    message: "the token is not bound to a pod, which this cluster's configuration requires; use a projected token",
  },
  "node-binding-missing": {
    code: "attestation-denied",
    message:
      "the token is not bound to a node, which this cluster's configuration requires; Kubernetes 1.30 and later do so",
  },
  "review-denied": {
    code: "attestation-denied",
    message: "the cluster no longer accepts this token; an object it is bound to may have been deleted",
  },
  "pod-deleted": {
    code: "attestation-denied",
    message:
      "the cluster no longer accepts this token, which is in date: its pod, or what the pod belongs to, was deleted",
  },
  "review-audience-mismatch": {
    code: "attestation-denied",
    message: "the cluster did not confirm the token for this server's audience",
  },
  "review-mismatch": {
    code: "attestation-denied",
    message: "what the cluster says about the token differs from its claims",
  },
  "review-unavailable": {
    code: "attestor-down",
    message: "the cluster cannot be asked about this token right now",
    retryAfter: 5,
  },
  "keys-unavailable": {
    code: "attestor-down",
    message: "the signing keys of the cluster cannot be read right now",
    retryAfter: 5,
  },
  "attestation-timeout": {
    code: "attestor-down",
    message: "the cluster did not answer in time",
    retryAfter: 5,
  },
  "attestation-busy": {
    code: "attestor-down",
    message: "too many attestations are under way",
    retryAfter: 1,
  },
} as const satisfies Record<string, Row>
