import { hash } from "node:crypto"
import { toIdentityError } from "../errors.ts"
import { type CompactJws, type JwsProfile, parseClaimsObject, parseCompactJws } from "../jose/compact.ts"
import { type PublicJwk, thumbprint } from "../jose/jwk.ts"
import { parseNumericDate, parseOptionalNumericDate } from "../jose/registered-claims.ts"
import type { Json, JsonObject } from "../json.ts"
import type { Instant, Seconds } from "../time.ts"
import { parseProofKey } from "./dpop-key.ts"
import { dpopRefusal } from "./dpop-refusal.ts"

/** Signature algorithms of proofs, for metadata. @see DP-03 */
export const DPOP_ALGORITHMS = ["ES256", "ES384", "RS256", "PS256"] as const

/** A proof whose shape is in order. Its signature was not looked at. */
export interface ParsedDpopProof {
  readonly jws: CompactJws
  readonly jwk: PublicJwk
  /** RFC 7638 thumbprint of {@link jwk}, SHA-256, base64url: what tokens are bound to. */
  readonly jkt: string
  readonly jti: string
  readonly htm: string
  readonly htu: string
  readonly issuedAt: Instant
  readonly expiresAt: Instant | undefined
  readonly notBefore: Instant | undefined
  readonly ath: string | undefined
  readonly nonce: string | undefined
}

/** What a proof is held against. */
export interface DpopTerms {
  readonly method: string
  /** The URL of the endpoint as it is configured, never as a header of the request names it. */
  readonly url: string
  /** The access token that came with the proof. */
  readonly accessToken: string | undefined
  readonly now: Instant
}

/** Read a proof of at most 4 KiB. @throws IdentityError `malformed`, a {@link DpopReason} @see DP-01 DP-05 JOS-01..JOS-09 */
export function parseDpopProof(text: string): ParsedDpopProof {
  if (text.length > MAX_PROOF) throw dpopRefusal("dpop-malformed")
  try {
    return readProof(text)
  } catch (thrown) {
    const error = toIdentityError(thrown)
    throw error.code === "malformed" && error.reason === undefined ? dpopRefusal("dpop-malformed", error) : error
  }
}

/** Everything but signature, nonce and replay. @throws IdentityError `malformed`, a {@link DpopReason} @see DP-01 DP-06 DP-07 */
export function checkDpopTerms(proof: ParsedDpopProof, terms: DpopTerms): void {
  const { now } = terms
  if (proof.htm !== terms.method) throw dpopRefusal("dpop-method-mismatch")
  const target = normalTarget(terms.url)
  if (target === undefined || normalTarget(proof.htu) !== target) throw dpopRefusal("dpop-url-mismatch")
  const { issuedAt } = proof
  const inDate = issuedAt >= now - DPOP_AGE && issuedAt <= now + DPOP_SKEW
  const inOwnDate = (proof.expiresAt ?? now + 1) > now && (proof.notBefore ?? now) <= now + DPOP_SKEW
  if (!inDate || !inOwnDate) throw dpopRefusal("dpop-out-of-window")
  const { accessToken } = terms
  if (accessToken !== undefined && proof.ath !== hash("sha256", accessToken, "base64url")) {
    throw dpopRefusal("dpop-token-mismatch")
  }
}

function readProof(text: string): ParsedDpopProof {
  const jws = parseCompactJws(text, PROFILE)
  if (jws.header.typ !== TYPE || jws.header.jwk === undefined) throw dpopRefusal("dpop-malformed")
  const jwk = parseProofKey(jws.header.jwk, jws.header.alg)
  const claims = parseClaimsObject(jws.payloadBytes)
  return {
    jws,
    jwk,
    jkt: thumbprint(jwk),
    jti: textOf(claims, "jti", MAX_JTI),
    htm: textOf(claims, "htm", MAX_METHOD),
    htu: textOf(claims, "htu", MAX_URL),
    issuedAt: parseNumericDate(claims["iat"], "iat"),
    expiresAt: parseOptionalNumericDate(claims["exp"], "exp"),
    notBefore: parseOptionalNumericDate(claims["nbf"], "nbf"),
    ath: optionalText(claims["ath"], MAX_JTI),
    nonce: optionalText(claims["nonce"], MAX_JTI),
  }
}

/**
 * A URL in the one form in which two are compared: scheme and host in lower case, without the scheme's own port, dot segments
 * resolved, no query, no fragment. `undefined` for what is not http(s) or has a user.
 */
function normalTarget(text: string): string | undefined {
  const url = URL.parse(text)
  if (url === null || !WEB.has(url.protocol) || url.username !== "" || url.password !== "") return undefined
  return `${url.origin}${url.pathname}`
}

function textOf(claims: JsonObject, name: string, max: number): string {
  const text = optionalText(claims[name], max)
  if (text === undefined) throw dpopRefusal("dpop-malformed")
  return text
}

function optionalText(value: Json | undefined, max: number): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== "string" || value === "" || value.length > max) throw dpopRefusal("dpop-malformed")
  return value
}

const TYPE = "dpop+jwt"
const PROFILE: JwsProfile = { algorithms: DPOP_ALGORITHMS, types: [TYPE], embeddedKey: true }
const WEB: ReadonlySet<string> = new Set(["https:", "http:"])
/** How long ago a proof may have been made, and how far ahead the clock of who made it may be: as far as with every token. */
export const DPOP_AGE: Seconds = 60
export const DPOP_SKEW: Seconds = 30
const MAX_PROOF = 4096
const MAX_JTI = 256
const MAX_METHOD = 32
const MAX_URL = 2048
