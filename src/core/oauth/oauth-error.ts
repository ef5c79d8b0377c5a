import type { ErrorCode, IdentityError } from "../errors.ts"
import { dpopErrorOf } from "./dpop-refusal.ts"

/** `error` of an answer. Those that RFC 6749 section 5.2 does not have are from 7009, 8693, 8707, 9396, 9449, or borrowed. */
export type OAuthErrorCode =
  | (typeof OAUTH_ERRORS)[ErrorCode]["error"]
  | (typeof OF_REASON)[keyof typeof OF_REASON]
  | "invalid_dpop_proof"
  | "use_dpop_nonce"

/** What `/token`, `/introspect` and `/revoke` answer. @see CC-05 ERR-03 */
export function oauthErrorOf(error: IdentityError): { readonly error: OAuthErrorCode; readonly status: number } {
  const dpop = dpopErrorOf(error)
  if (dpop !== undefined) return { error: dpop, status: 400 }
  const { reason } = error
  if (reason !== undefined && isNamed(reason)) return { error: OF_REASON[reason], status: 400 }
  return OAUTH_ERRORS[error.code]
}

/** `error_description`: what is not in the characters that RFC 6749 allows is left out. @see CC-06 */
export function errorDescription(message: string): string {
  return message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "")
}

function isNamed(reason: string): reason is keyof typeof OF_REASON {
  return Object.hasOwn(OF_REASON, reason)
}

const OF_REASON = {
  "authorization-details-unsupported": "invalid_authorization_details",
  "revocation-type-unsupported": "unsupported_token_type",
} as const

/** Total over the codes: those that an endpoint should never meet are server errors. */
export const OAUTH_ERRORS = {
  malformed: { error: "invalid_request", status: 400 },
  unauthenticated: { error: "invalid_client", status: 401 },
  "attestation-denied": { error: "invalid_grant", status: 400 },
  "no-identity": { error: "unauthorized_client", status: 400 },
  "policy-denied": { error: "access_denied", status: 400 },
  "audience-denied": { error: "invalid_target", status: 400 },
  "scope-denied": { error: "invalid_scope", status: 400 },
  "grant-expired-or-replayed": { error: "invalid_grant", status: 400 },
  "not-found": { error: "server_error", status: 500 },
  "already-exists": { error: "server_error", status: 500 },
  conflict: { error: "server_error", status: 500 },
  "rate-limited": { error: "temporarily_unavailable", status: 429 },
  "not-ready": { error: "temporarily_unavailable", status: 503 },
  "attestor-down": { error: "temporarily_unavailable", status: 503 },
  unsupported: { error: "unsupported_grant_type", status: 400 },
  cancelled: { error: "server_error", status: 500 },
  deadline: { error: "server_error", status: 504 },
  internal: { error: "server_error", status: 500 },
} as const satisfies Record<ErrorCode, { readonly error: string; readonly status: number }>
