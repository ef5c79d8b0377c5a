import type { Brand } from "../brand.ts"
import { IdentityError } from "../errors.ts"
import { isJsonObject, type Json, type JsonObject } from "../json.ts"
import { parseWorkloadId, type SpiffeId } from "../spiffe/id.ts"
import type { Instant } from "../time.ts"
import type { JwsAlgorithm } from "./algorithm.ts"
import { type CompactJws, encodeSigningInput, type JwsProfile, parseClaimsObject, parseCompactJws } from "./compact.ts"
import { notBeforeOf, parseAudience, parseNumericDate, parseOptionalNumericDate } from "./registered-claims.ts"

/** What an access token that we make says. @see AT-02 */
export interface AccessTokenClaims {
  readonly iss: string
  readonly sub: SpiffeId
  /** `client_id`: the SPIFFE ID of the client, or the name under which it is registered. */
  readonly clientId: string
  /** Not empty. One is written as a text, as verifiers like it. */
  readonly aud: readonly string[]
  readonly iat: Instant
  readonly exp: Instant
  readonly jti: string
  /** Empty: the token has no `scope`. */
  readonly scopes: readonly string[]
  /** Who acts for the subject, newest first; empty for nobody. @see TX-05 */
  readonly actors: readonly SpiffeId[]
  readonly confirmation: Confirmation | undefined
}

/** The key that a token is bound to. */
export type Confirmation =
  /** RFC 7638 thumbprint, base64url. @see DP-02 */
  | { readonly kind: "dpop"; readonly jkt: string }
  /** SHA-256 of the client certificate's DER, base64url. @see MT-03 */
  | { readonly kind: "mtls"; readonly x5t: string }

/** An access token whose shape is right. Neither signature nor time nor issuer nor audience were looked at. */
export interface ParsedAccessToken {
  readonly jws: CompactJws
  readonly claims: AccessTokenClaims
  /** `nbf`, which ours have. */
  readonly notBefore: Instant | undefined
}

/** The first part of every access token that one key signs. */
export type AccessTokenHeader = Brand<string, "AccessTokenHeader">

/** @see AT-01 JWKS-07 */
export function encodeAccessTokenHeader(kid: string, algorithm: JwsAlgorithm): AccessTokenHeader {
  if (kid === "") throw new RangeError("an access token key without kid")
  return base64url({ alg: algorithm, kid, typ: ACCESS_TOKEN_TYPE }) as AccessTokenHeader
}

/**
 * The ASCII text to sign, `header.payload`. Dates are integers. @throws IdentityError `malformed` when it would be
 * too long @see AT-02 AWS-02 JW-17 KAS-02
 */
export function encodeAccessTokenInput(header: AccessTokenHeader, claims: AccessTokenClaims): string {
  const { iss, sub, clientId, aud, iat, exp, jti, scopes, actors, confirmation } = claims
  if (aud.length === 0 || aud.includes("")) throw new RangeError("an access token without audience")
  if (exp <= iat) throw new RangeError("an access token that expires before it is issued")
  const payload = {
    iss,
    sub,
    aud: aud.length === 1 ? aud[0] : aud,
    client_id: clientId,
    iat,
    nbf: notBeforeOf(claims),
    exp,
    jti,
    scope: scopes.length === 0 ? undefined : scopes.join(" "),
    act: encodeActors(actors),
    cnf: encodeConfirmation(confirmation),
  }
  return encodeSigningInput(header, payload)
}

/** The value of `act`: each actor holds the one before it. `undefined` for nobody. @see TX-05 */
export function encodeActors(actors: readonly SpiffeId[]): JsonObject | undefined {
  return actors.reduceRight<JsonObject | undefined>(
    (inner, sub) => (inner === undefined ? { sub } : { sub, act: inner }),
    undefined,
  )
}

/** The value of `cnf`. */
export function encodeConfirmation(confirmation: Confirmation | undefined): JsonObject | undefined {
  if (confirmation === undefined) return undefined
  return confirmation.kind === "dpop" ? { jkt: confirmation.jkt } : { "x5t#S256": confirmation.x5t }
}

/** Read an access token of ours up to, not including, its signature. @throws IdentityError `malformed` @see AT-05 JOS-01..JOS-12 */
export function parseAccessToken(token: string): ParsedAccessToken {
  const jws = parseCompactJws(token, PROFILE)
  if (jws.header.typ === undefined) throw malformed("token has no type")
  const claims = parseClaimsObject(jws.payloadBytes)
  const scope = claims["scope"] === undefined ? "" : textOf(claims, "scope")
  return {
    jws,
    notBefore: parseOptionalNumericDate(claims["nbf"], "nbf"),
    claims: {
      iss: textOf(claims, "iss"),
      sub: parseWorkloadId(textOf(claims, "sub")),
      clientId: textOf(claims, "client_id"),
      aud: parseAudience(claims["aud"]),
      iat: parseNumericDate(claims["iat"], "iat"),
      exp: parseNumericDate(claims["exp"], "exp"),
      jti: textOf(claims, "jti"),
      scopes: scope === "" ? [] : scope.split(" "),
      actors: parseActors(claims["act"]),
      confirmation: parseConfirmation(claims["cnf"]),
    },
  }
}

function parseActors(act: Json | undefined): readonly SpiffeId[] {
  const actors: SpiffeId[] = []
  for (let level = act; level !== undefined; level = level["act"]) {
    if (!isJsonObject(level) || actors.length === MAX_ACTORS) throw malformed("claim act is not a chain of actors")
    actors.push(parseWorkloadId(textOf(level, "sub")))
  }
  return actors
}

function parseConfirmation(cnf: Json | undefined): Confirmation | undefined {
  if (cnf === undefined) return undefined
  if (isJsonObject(cnf) && Object.keys(cnf).length === 1) {
    if (cnf["jkt"] !== undefined) return { kind: "dpop", jkt: textOf(cnf, "jkt") }
    if (cnf["x5t#S256"] !== undefined) return { kind: "mtls", x5t: textOf(cnf, "x5t#S256") }
  }
  throw malformed("claim cnf is not known")
}

function textOf(claims: JsonObject, name: string): string {
  const value = claims[name]
  if (typeof value !== "string" || value === "") throw malformed(`claim ${name} is not a text`)
  return value
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url")
}

/** Whether a text says of itself, by its `typ`, that it is an access token. Nothing is verified. */
export function saysAccessToken(token: string): boolean {
  try {
    parseCompactJws(token, PROFILE)
    return true
  } catch {
    return false
  }
}

const ACCESS_TOKEN_TYPE = "at+jwt"
const PROFILE: JwsProfile = { algorithms: ["ES256", "RS256"], types: [ACCESS_TOKEN_TYPE, "application/at+jwt"] }
/** How many may stand in `act`. @see TX-18 */
export const MAX_ACTORS = 5
