import { type ErrorCode, IdentityError } from "../core/errors.ts"
import type { JsonObject } from "../core/json.ts"
import type { Seconds } from "../core/time.ts"

export interface EndpointRefusal {
  readonly error: string
  readonly description: string | undefined
  /** Of an Assay server, finer than `error`. */
  readonly reason: string | undefined
  readonly retryAfter: Seconds | undefined
}

/** What a token endpoint answered in place of a token. `reason` is the server's own where it gives one. @see CLT-22 */
export class TokenEndpointError extends IdentityError {
  /** `error` of RFC 6749 section 5.2 and its extensions, e.g. `invalid_target`. */
  readonly error: string
  /** `error_description`, at most 512 characters of those that the RFC allows. */
  readonly description: string | undefined
  /** Of HTTP. */
  readonly status: number

  constructor(status: number, { error, description, reason, retryAfter }: EndpointRefusal) {
    const message = `the token endpoint answered ${error}${description === undefined ? "" : `: ${description}`}`
    super(CODES.get(error) ?? (status >= 500 ? "not-ready" : "policy-denied"), message, {
      reason: reason ?? "token-endpoint-refused",
      ...(retryAfter === undefined ? {} : { retryAfter }),
    })
    this.error = error
    this.description = description
    this.status = status
  }
}

/** @param body the JSON object of the answer; `undefined` when it is none */
export function readTokenEndpointError(
  status: number,
  body: JsonObject | undefined,
  retryAfter: string | null,
): TokenEndpointError {
  const { error, error_description: description, reason } = body ?? {}
  const seconds = Number(retryAfter ?? Number.NaN)
  return new TokenEndpointError(status, {
    error:
      typeof error === "string" && ERROR.test(error)
        ? error
        : status >= 500
          ? "temporarily_unavailable"
          : "invalid_answer",
    description:
      typeof description === "string" ? description.replace(FORBIDDEN, "").slice(0, MAX_DESCRIPTION) : undefined,
    reason: typeof reason === "string" && REASON.test(reason) ? reason : undefined,
    retryAfter: Number.isInteger(seconds) && seconds >= 0 ? seconds : undefined,
  })
}

const CODES: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ["invalid_request", "malformed"],
  ["invalid_client", "unauthenticated"],
  ["invalid_grant", "grant-expired-or-replayed"],
  ["unauthorized_client", "no-identity"],
  ["access_denied", "policy-denied"],
  ["unsupported_grant_type", "unsupported"],
  ["invalid_scope", "scope-denied"],
  ["invalid_target", "audience-denied"],
  ["temporarily_unavailable", "not-ready"],
  ["server_error", "not-ready"],
  ["invalid_answer", "internal"],
])
const ERROR = /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}$/
const REASON = /^[a-z][a-z0-9-]{0,63}$/
const FORBIDDEN = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g
const MAX_DESCRIPTION = 512
