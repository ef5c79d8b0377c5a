import type { ErrorCode } from "../errors.ts"

/** Why a question about a token is refused. Stable: shown to callers and operators, and matched by their tools. @see TPO-07 */
export type TokenReason = keyof typeof TOKEN_REASONS

/** Each reason with its error code and the message for the caller. */
export const TOKEN_REASONS = {
  "inconsistent-question": { code: "policy-denied", message: "mode, client, subject and actor contradict each other" },
  "reserved-identity": { code: "policy-denied", message: "the identity is reserved" },
  "foreign-subject": { code: "policy-denied", message: "an SVID is made for identities of the own trust domain only" },
  "delegation-in-svid": { code: "policy-denied", message: "an SVID cannot say who acts for its subject" },
  "scope-in-svid": {
    code: "policy-denied",
    message: "an SVID has no scope, so it would be good for more than an access token: ask with another subject token",
  },
  "audience-unknown": { code: "audience-denied", message: "nobody accepts tokens for this audience" },
  "subject-not-accepted": { code: "audience-denied", message: "the audience accepts no tokens about this subject" },
  "subject-not-exported": { code: "audience-denied", message: "the subject may have no tokens for this audience" },
  "client-not-allowed": { code: "policy-denied", message: "the client may not ask for this token" },
  "mode-not-allowed": {
    code: "policy-denied",
    message: "the token may not be asked for by another than its subject, or not in this way",
  },
  "actor-not-allowed": {
    code: "policy-denied",
    message: "the actor may not act for this subject towards this audience",
  },
  "product-not-allowed": { code: "policy-denied", message: "the audience does not accept this kind of token" },
  "grant-not-allowed": { code: "policy-denied", message: "the audience does not accept tokens of this grant type" },
  "binding-required": { code: "policy-denied", message: "the audience accepts only tokens that are bound to a key" },
  "scope-not-allowed": { code: "scope-denied", message: "a scope that was asked for is not allowed" },
  "scope-beyond-subject": {
    code: "scope-denied",
    message: "a scope that was asked for is not one of the subject token's",
  },
  "condition-not-met": { code: "policy-denied", message: "a condition of the policy is not met" },
  "algorithm-conflict": {
    code: "audience-denied",
    message: "the audiences want different signature algorithms: ask for each alone",
  },
} as const satisfies Record<string, { readonly code: ErrorCode; readonly message: string }>
