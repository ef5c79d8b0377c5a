import type { ErrorCode } from "../errors.ts"

/** Why a caller, or a rule for it, gets no identity. Stable: shown to callers and operators, and matched by their tools. */
export type DecisionReason = keyof typeof DECISION_REASONS

/** Each reason with its error code and the message for the caller. @see RUL-11 */
export const DECISION_REASONS = {
  "no-rule-matched": { code: "no-identity", message: "no rule gives this caller an identity" },
  "unknown-cluster": { code: "no-identity", message: "the caller's cluster is not configured any more" },
  "outside-cluster-bounds": {
    code: "policy-denied",
    message: "the identity is outside the bounds of the caller's cluster",
  },
  "template-value-refused": { code: "policy-denied", message: "a claim of the caller cannot stand in a SPIFFE ID" },
  "invalid-identity": {
    code: "policy-denied",
    message: "the rule's template gives no valid SPIFFE ID for this caller",
  },
  "reserved-identity": { code: "policy-denied", message: "the identity is reserved" },
  "invalid-dns-name": { code: "policy-denied", message: "the rule's template gives no valid DNS name for this caller" },
  "duplicate-identity": { code: "no-identity", message: "an earlier rule gives the same identity" },
  "too-many-identities": { code: "no-identity", message: "the caller has as many identities as it can have" },
} as const satisfies Record<string, { readonly code: ErrorCode; readonly message: string }>
