import type { Brand } from "../brand.ts"
import { IdentityError } from "../errors.ts"
import type { JsonObject } from "../json.ts"
import { parseWorkloadId, type SpiffeId } from "../spiffe/id.ts"
import type { Instant, Seconds } from "../time.ts"
import { JWS_ALGORITHMS, type JwsAlgorithm } from "./algorithm.ts"
import { type CompactJws, encodeSigningInput, type JwsProfile, parseClaimsObject, parseCompactJws } from "./compact.ts"
import { notBeforeOf, parseAudience, parseNumericDate, parseOptionalNumericDate } from "./registered-claims.ts"

/** What a JWT-SVID that we make says. */
export interface JwtSvidClaims {
  readonly sub: SpiffeId
  /** Not empty. */
  readonly aud: readonly string[]
  readonly iat: Instant
  readonly exp: Instant
  readonly jti: string
  readonly iss: string | undefined
}

/** The first part of every token that one key signs. Encode it once for each key and keep it. */
export type JwtSvidHeader = Brand<string, "JwtSvidHeader">

/** A token whose shape is that of a JWT-SVID. Neither signature nor time nor audience were looked at. */
export interface ParsedJwtSvid {
  readonly jws: CompactJws
  readonly spiffeId: SpiffeId
  readonly audience: readonly string[]
  readonly expiresAt: Instant
  readonly notBefore: Instant | undefined
  readonly issuedAt: Instant | undefined
  readonly claims: JsonObject
}

/** @see JW-01 JW-02 JW-03 JW-04 JW-05 */
export function encodeJwtSvidHeader(kid: string, algorithm: JwsAlgorithm): JwtSvidHeader {
  if (kid === "") throw new RangeError("a JWT-SVID key without kid")
  return base64url({ alg: algorithm, kid, typ: "JWT" }) as JwtSvidHeader
}

/**
 * The ASCII text to sign, `header.payload`. @throws IdentityError `malformed` when it would be too long
 * @see JW-06 JW-07 JW-08 JW-10 JW-17 KAS-02
 */
export function encodeJwtSvidInput(header: JwtSvidHeader, claims: JwtSvidClaims): string {
  const { sub, aud, iat, exp, jti, iss } = claims
  if (aud.length === 0 || aud.includes("")) throw new RangeError("a JWT-SVID without audience")
  if (exp <= iat) throw new RangeError("a JWT-SVID that expires before it is issued")
  return encodeSigningInput(header, { sub, aud, exp, iat, nbf: notBeforeOf(claims), jti, iss })
}

/** The finished token. `signature` is in JOSE form: r and s of fixed width for ECDSA. */
export function sealJwtSvid(input: string, signature: Uint8Array): string {
  return `${input}.${Buffer.from(signature.buffer, signature.byteOffset, signature.byteLength).toString("base64url")}`
}

/** Read a token up to, not including, its signature. @throws IdentityError `malformed` @see JW-01..JW-09 JOS-01..JOS-12 */
export function parseJwtSvid(token: string): ParsedJwtSvid {
  const jws = parseCompactJws(token, PROFILE)
  const claims = parseClaimsObject(jws.payloadBytes)
  const sub = claims["sub"]
  if (typeof sub !== "string") throw new IdentityError("malformed", "claim sub is not a SPIFFE ID")
  return {
    jws,
    spiffeId: parseWorkloadId(sub),
    audience: parseAudience(claims["aud"]),
    expiresAt: parseNumericDate(claims["exp"], "exp"),
    notBefore: parseOptionalNumericDate(claims["nbf"], "nbf"),
    issuedAt: parseOptionalNumericDate(claims["iat"], "iat"),
    claims,
  }
}

/** What a validator holds a JWT-SVID against. */
export interface JwtSvidTerms {
  readonly audience: string
  readonly now: Instant
  /** How far the issuer's clock may be off; at the most a minute. */
  readonly skew: Seconds
}

/**
 * Hold the claims of a token, whose signature is verified already, against time and audience. The audience must be one of
 * the token's, byte for byte. @throws IdentityError `malformed` @see JW-09 JOS-09 JOS-10 VC-01
 */
export function checkJwtSvidTerms(token: ParsedJwtSvid, terms: JwtSvidTerms): void {
  const { now, skew } = terms
  if (!token.audience.includes(terms.audience)) throw new IdentityError("malformed", "token is for another audience")
  if (token.expiresAt + skew <= now) throw new IdentityError("malformed", "token has expired")
  if ((token.notBefore ?? 0) > now + skew) throw new IdentityError("malformed", "token is not valid yet")
  if ((token.issuedAt ?? 0) > now + skew) throw new IdentityError("malformed", "token was issued in the future")
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url")
}

const PROFILE: JwsProfile = { algorithms: JWS_ALGORITHMS, types: ["JWT", "JOSE"] }
