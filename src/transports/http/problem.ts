import type { ErrorCode, IdentityError } from "../../core/errors.ts"
import type { Seconds } from "../../core/time.ts"

/** An error body as RFC 9457 has it, with our stable `code` and `reason`. */
export interface Problem {
  readonly type: "about:blank"
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly reason: string
  readonly request_id: string
  /** What the caller can do about it; left out when nothing is known. */
  readonly next?: string
}

export const PROBLEM_TYPE = "application/problem+json"

/** How HTTP doors answer, but for OAuth endpoints, which have their own table. @see ERR-03 */
export function toProblem(error: IdentityError, requestId: string): Problem {
  const status = HTTP_STATUS[error.code]
  return {
    type: "about:blank",
    title: error.code,
    status,
    detail: error.code === "internal" ? "internal error; the server's log has the request id" : error.message,
    code: error.code,
    reason: error.reason ?? error.code,
    request_id: requestId,
    ...(error.next === undefined ? {} : { next: error.next }),
  }
}

/** `Retry-After` of an error; `undefined` when a retry is of no use or nothing is known. */
export function retryAfterOf(error: IdentityError): Seconds | undefined {
  return error.retryAfter ?? (HTTP_STATUS[error.code] === 503 ? 1 : undefined)
}

export const HTTP_STATUS = {
  malformed: 400,
  unauthenticated: 401,
  "attestation-denied": 403,
  "no-identity": 403,
  "policy-denied": 403,
  "audience-denied": 403,
  "scope-denied": 403,
  "grant-expired-or-replayed": 401,
  "not-found": 404,
  "already-exists": 409,
  conflict: 409,
  "rate-limited": 429,
  "not-ready": 503,
  "attestor-down": 503,
  unsupported: 501,
  cancelled: 499,
  deadline: 504,
  internal: 500,
} as const satisfies Record<ErrorCode, number>
