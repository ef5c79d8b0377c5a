import { IdentityError, toIdentityError } from "../core/errors.ts"
import { dpopErrorOf } from "../core/oauth/dpop-refusal.ts"

/** Why an access token was not accepted. Stable. A proof that is not accepted has a `DpopReason` of the same form, e.g. `dpop-replayed`. */
export type AccessTokenReason = keyof typeof REFUSALS

export function accessTokenRefusal(reason: AccessTokenReason, cause?: unknown): IdentityError {
  const code = reason === "token-subject" ? "policy-denied" : "unauthenticated"
  return new IdentityError(code, REFUSALS[reason], { reason, cause })
}

/** What a service answers to a request that it does not let in. */
export interface Challenge {
  readonly status: 401 | 403 | 503
  /** Value of `WWW-Authenticate`. */
  readonly header: string | undefined
}

/**
 * The answer for whatever `verifyAccessToken` threw: 401 for a token or a proof that is not good, 403 for a subject that is not
 * let in, 503 when it could not be verified now. (RFC 6750 section 3, RFC 9449 section 7.1)
 */
export function challengeOf(thrown: unknown): Challenge {
  const error = toIdentityError(thrown)
  const proof = dpopErrorOf(error)
  if (proof !== undefined) return { status: 401, header: `DPoP error="${proof}"` }
  if (error.code === "policy-denied") return { status: 403, header: 'Bearer error="insufficient_scope"' }
  if (error.reason === undefined || !Object.hasOwn(REFUSALS, error.reason)) return { status: 503, header: undefined }
  const scheme = error.reason.startsWith("dpop-") ? "DPoP" : "Bearer"
  return { status: 401, header: `${scheme} error="invalid_token", error_description="${error.message}"` }
}

const REFUSALS = {
  "token-malformed": "the token is not an access token that is accepted here",
  "token-issuer": "the token is of another issuer",
  "token-key-unknown": "the issuer has no such key",
  "token-signature-invalid": "the signature of the token does not verify",
  "token-expired": "the token has expired",
  "token-not-yet-valid": "the token is not valid yet",
  "token-audience": "the token is for another audience",
  "token-subject": "the subject of the token is not allowed here",
  "token-not-bound": "the token is not bound to the key of the proof that came with it",
  "dpop-proof-missing": "the token is bound to a key, and no DPoP proof came with it",
  "dpop-key-mismatch": "the token is bound to another key than that of the proof",
  "certificate-missing": "the token is bound to a certificate, and the client showed none",
  "certificate-mismatch": "the token is bound to another certificate than that of the client",
} as const satisfies Readonly<Record<string, string>>
