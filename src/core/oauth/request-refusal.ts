import { type ErrorCode, IdentityError } from "../errors.ts"

/** Why a request to `/token`, `/introspect` or `/revoke` was refused before or beside the rules. Stable. @see CC-05 */
export type RequestReason = keyof typeof REFUSALS

/** @see CC-05 */
export function requestRefusal(reason: RequestReason, cause?: unknown): IdentityError {
  const { code, message } = REFUSALS[reason]
  return new IdentityError(code, message, { reason, cause })
}

const REFUSALS = {
  "grant-type-missing": { code: "malformed", message: "grant_type is missing" },
  "grant-type-unsupported": {
    code: "unsupported",
    message: "this grant_type is not offered; the metadata lists those that are",
  },
  "parameter-missing": { code: "malformed", message: "a parameter that this grant needs is missing" },
  "parameter-not-allowed": { code: "malformed", message: "a parameter is not allowed in this request" },
  "parameter-invalid": { code: "malformed", message: "a parameter has a value that is not valid" },
  "authorization-details-unsupported": { code: "malformed", message: "authorization_details is not supported" },
  "scope-malformed": { code: "scope-denied", message: "scope is not a list of up to 64 different words" },
  "target-missing": {
    code: "audience-denied",
    message: "the request names no target; send audience or resource",
  },
  "target-malformed": {
    code: "audience-denied",
    message:
      "resource must be an absolute URI without fragment, and at most 16 targets may be named, each of 1024 bytes",
  },
  "token-type-unsupported": { code: "malformed", message: "a token of this type is not accepted or not issued here" },
  "csr-missing": {
    code: "malformed",
    message: "an X.509-SVID needs the parameter csr: a PKCS#10 request, base64url of its DER",
  },
  "client-authentication-missing": {
    code: "unauthenticated",
    message: "the client did not authenticate; send a client assertion, or use a client certificate and client_id",
  },
  "client-authentication-repeated": {
    code: "malformed",
    message: "the client authenticates in more than one way; use exactly one",
  },
  "client-authentication-unsupported": {
    code: "unauthenticated",
    message: "this way to authenticate a client is not offered; the metadata lists those that are",
  },
  "client-id-mismatch": { code: "unauthenticated", message: "client_id is not the client that the credential is of" },
  "client-unknown": { code: "unauthenticated", message: "no such client is registered" },
  "client-assertion-invalid": { code: "unauthenticated", message: "the client assertion is not accepted" },
  "client-assertion-too-long": {
    code: "unauthenticated",
    message: "the client assertion lives longer than five minutes; set its exp to less",
  },
  "client-assertion-replayed": {
    code: "unauthenticated",
    message: "the client assertion was used before; make a new one for each request",
  },
  "client-certificate-invalid": {
    code: "unauthenticated",
    message: "the client certificate is not an X.509-SVID of a trust domain that is trusted here",
  },
  "token-expired": { code: "unauthenticated", message: "the token has expired" },
  "token-not-yet-valid": { code: "unauthenticated", message: "the token is not valid yet" },
  "token-revoked": { code: "unauthenticated", message: "the token was revoked" },
  "token-audience-mismatch": {
    code: "unauthenticated",
    message: "the token is not for this server; request it for the issuer as its audience",
  },
  "token-invalid": { code: "unauthenticated", message: "the token is not accepted here" },
  "revocation-type-unsupported": {
    code: "malformed",
    message: "a JWT-SVID is not revoked by itself; it expires, or its subject is revoked",
  },
  "token-identity-missing": { code: "unauthenticated", message: "the token's claims give no identity here" },
  "token-replayed": { code: "unauthenticated", message: "the token was used before" },
  "proof-of-possession-missing": {
    code: "unauthenticated",
    message: "the token is bound to a key whose possession the request does not prove",
  },
  "may-act-mismatch": { code: "unauthenticated", message: "the token says in may_act that somebody else may act" },
  "token-delegated": {
    code: "unauthenticated",
    message: "somebody acts in the token (act) for its subject, which only access tokens of this server can say here",
  },
  "delegation-too-deep": { code: "unauthenticated", message: "too many actors stand in the token already" },
} as const satisfies Readonly<Record<string, { readonly code: ErrorCode; readonly message: string }>>
