import { IdentityError } from "../errors.ts"
import { isJsonObject, type Json, type JsonObject, parseJsonObject } from "../json.ts"
import { ECDSA_SIGNATURE_BYTES, type JwsAlgorithm } from "./algorithm.ts"

/** What one kind of token may look like. Everything that is not listed is refused. */
export interface JwsProfile {
  readonly algorithms: readonly JwsAlgorithm[]
  /** Values of `typ`. Absent is always allowed; with an empty list it must be absent. @see JOS-12 JW-04 */
  readonly types: readonly string[]
  /** True for proofs, which bring their own public key in `jwk`. Every other token with one is refused. @see JOS-04 DP-05 */
  readonly embeddedKey?: true
  /** True for tokens of others, who may name the certificate of their key by its thumbprint: a hint, which nobody follows. @see EXT-06 */
  readonly thumbprints?: true
}

/** In characters; a token that passes has one byte for each. @see INV-32 */
export const MAX_TOKEN_LENGTH = 16 * 1024

/**
 * The ASCII text to sign, `header.payload`. @param header encoded already
 * @throws IdentityError `malformed` when the token would be longer than {@link parseCompactJws} takes @see JW-17
 */
export function encodeSigningInput(header: string, payload: object): string {
  const input = `${header}.${Buffer.from(JSON.stringify(payload)).toString("base64url")}`
  if (input.length > MAX_SIGNING_INPUT)
    throw malformed("the token would be too long: ask for fewer or shorter audiences")
  return input
}

/** A compact JWS whose framing is in order. Nothing in it is verified yet. */
export interface CompactJws {
  readonly header: JwsHeader
  readonly payloadBytes: Uint8Array
  /** The ASCII bytes that were signed: `header.payload`. */
  readonly signingInput: Uint8Array
  readonly signature: Uint8Array
}

export interface JwsHeader {
  readonly alg: JwsAlgorithm
  /** 1 to 256 characters. */
  readonly kid: string | undefined
  readonly typ: string | undefined
  /** Only of a profile with {@link JwsProfile.embeddedKey}; nothing in it is checked. */
  readonly jwk: JsonObject | undefined
}

/**
 * Read the framing of a compact JWS of at most 16 KiB. Header members other than `alg`, `kid`, `typ` and what `profile` names are
 * refused, and with them every way to bring a key along. @throws IdentityError `malformed` @see JOS-01..JOS-08
 */
export function parseCompactJws(token: string, profile: JwsProfile): CompactJws {
  if (token.length > MAX_TOKEN_LENGTH) throw malformed("token is longer than 16 KiB")
  const first = token.indexOf(".")
  const second = token.indexOf(".", first + 1)
  if (first === -1 || second === -1 || token.includes(".", second + 1))
    throw malformed("token does not have three parts")
  const header = parseHeader(token.slice(0, first), profile)
  const signature = decodeBase64url(token.slice(second + 1))
  const expected = ECDSA_SIGNATURE_BYTES[header.alg]
  if (signature.length === 0 || (expected !== undefined && signature.length !== expected)) {
    throw malformed("token has a signature of the wrong length")
  }
  return {
    header,
    payloadBytes: decodeBase64url(token.slice(first + 1, second)),
    signingInput: Buffer.from(token.slice(0, second), "latin1"),
    signature,
  }
}

/** Decode the payload of a token as one strict JSON object in UTF-8. @throws IdentityError `malformed` @see JOS-07 */
export function parseClaimsObject(payloadBytes: Uint8Array): JsonObject {
  return parseJsonObject(decodeUtf8(payloadBytes))
}

/** Decode base64url in its one canonical form: no padding, no other alphabet, no stray bits. @throws IdentityError `malformed` */
export function decodeBase64url(text: string): Uint8Array {
  const bytes = Buffer.from(text, "base64url")
  // Node's decoder skips what it does not know; only the canonical text encodes back to itself.
  if (bytes.toString("base64url") !== text) throw malformed("token is not canonical base64url")
  return bytes
}

function parseHeader(part: string, profile: JwsProfile): JwsHeader {
  const header = parseClaimsObject(decodeBase64url(part))
  for (const name of Object.keys(header)) {
    const known = HEADER_MEMBERS.has(name) || (name === "jwk" && profile.embeddedKey === true)
    const isHint = profile.thumbprints === true && isThumbprint(name, header[name])
    if (!known && !isHint) throw malformed("token has a header member that is not allowed")
  }
  const alg = profile.algorithms.find((allowed) => allowed === header["alg"])
  if (alg === undefined) throw malformed("token has a signature algorithm that is not allowed")
  const kid = parseText(header["kid"], "kid")
  const typ = parseText(header["typ"], "typ")
  if (typ !== undefined && !profile.types.includes(typ)) throw malformed("token has a type that is not allowed")
  return { alg, kid, typ, jwk: parseEmbeddedKey(header["jwk"]) }
}

function parseEmbeddedKey(value: Json | undefined): JsonObject | undefined {
  if (value === undefined || isJsonObject(value)) return value
  throw malformed("token header jwk is not an object")
}

function isThumbprint(name: string, value: Json | undefined): boolean {
  return THUMBPRINTS.has(name) && typeof value === "string" && THUMBPRINT.test(value)
}

function parseText(value: Json | undefined, name: string): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== "string" || value === "" || value.length > MAX_HEADER_TEXT) {
    throw malformed(`token header ${name} is not a text of 1 to 256 characters`)
  }
  return value
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes)
  } catch (cause) {
    throw new IdentityError("malformed", "token is not UTF-8", { cause })
  }
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const HEADER_MEMBERS: ReadonlySet<string> = new Set(["alg", "kid", "typ"])
/** RFC 7515 sections 4.1.7 and 4.1.8. */
const THUMBPRINTS: ReadonlySet<string> = new Set(["x5t", "x5t#S256"])
/** Base64url of a digest, and not the address of anything. */
const THUMBPRINT = /^[A-Za-z0-9_-]{1,86}$/

const MAX_HEADER_TEXT = 256
/** What a dot and the longest signature, of an RSA key of 4096 bits, leave of a token. */
const MAX_SIGNING_INPUT = MAX_TOKEN_LENGTH - 684
