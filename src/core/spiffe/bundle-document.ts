import { IdentityError } from "../errors.ts"
import { publicJwk } from "../jose/jwk.ts"
import { encodeJwtSvidKeys } from "../jose/jwk-set.ts"
import { isJsonObject, type Json, type JsonObject, parseJsonObject } from "../json.ts"
import { parseCertificate } from "../x509/certificate.ts"
import type { JwtAuthority, TrustBundle } from "./bundle.ts"
import type { TrustDomain } from "./id.ts"
import { JWT_KEY_KINDS } from "./jwt-key-kind.ts"

/** Why a bundle document was refused; finer than `malformed`, and stable. */
export type BundleReason = "bundle-size" | "bundle-member" | "bundle-key" | "bundle-certificate"

/**
 * A bundle in its SPIFFE rendering: a JWK Set with `spiffe_sequence` and, when known, `spiffe_refresh_hint`. Equal bundles
 * give equal text. @see TD-01..TD-05 X5-18..X5-20 JW-11 JWKS-02
 */
export function encodeBundle(bundle: TrustBundle): string {
  return JSON.stringify({
    keys: [...bundle.x509Authorities.map(encodeX509Key), ...bundle.jwtAuthorities.map(encodeJwtKey)],
    spiffe_sequence: bundle.sequence,
    ...(bundle.refreshHint === undefined ? {} : { spiffe_refresh_hint: bundle.refreshHint }),
  })
}

/** The JWT keys alone, for the Workload API. @see WA-13 */
export function encodeJwtBundle(bundle: Pick<TrustBundle, "jwtAuthorities">): string {
  return Buffer.from(encodeJwtSvidKeys(bundle.jwtAuthorities)).toString("utf8")
}

/**
 * Read a bundle document. Strict about what we use, and blind to what is not for us: entries with another `kty` or `use`,
 * unknown members, `x509-svid` entries without `x5c`. At most 4 MiB and 4096 keys.
 * @param trustDomain whose bundle this is: said by whoever fetched it, never by the document @see TD-08
 * @throws IdentityError `malformed`, reason `bundle-*` @see TD-01..TD-05 X5-21
 */
export function parseBundle(text: string, trustDomain: TrustDomain): TrustBundle {
  const document = parseDocument(text)
  return { trustDomain, ...readBundle(document) }
}

/** A bundle that stands inside another document. @throws IdentityError as {@link parseBundle} */
export function readBundle(document: JsonObject): Omit<TrustBundle, "trustDomain"> {
  const keys = readKeys(document)
  const x509Authorities = keys.filter((key) => key["use"] === "x509-svid").flatMap(readX509Key)
  const jwtAuthorities = keys.filter((key) => key["use"] === "jwt-svid").flatMap(readJwtKey)
  refuseDuplicateKids(jwtAuthorities)
  const sequence = readWhole(document, "spiffe_sequence", Number.MAX_SAFE_INTEGER) ?? 0
  const refreshHint = readWhole(document, "spiffe_refresh_hint", MAX_HINT)
  return { x509Authorities, jwtAuthorities, sequence, refreshHint }
}

/**
 * Read JWT keys as the Workload API hands them out, where `use` may be left out. @throws IdentityError as {@link parseBundle}
 * @see WA-13
 */
export function parseJwtBundle(text: string): readonly JwtAuthority[] {
  const keys = readKeys(parseDocument(text))
  const authorities = keys.filter(({ use }) => use === undefined || use === "jwt-svid").flatMap(readJwtKey)
  refuseDuplicateKids(authorities)
  return authorities
}

function parseDocument(text: string): JsonObject {
  if (text.length > MAX_TEXT) throw refused("bundle-size", "bundle document is longer than 4 MiB")
  return parseJsonObject(text)
}

// `alg` is left out on purpose: the bundle format defines no parameter beyond those of the key. @see TD-05
function encodeX509Key(der: Uint8Array): JsonObject {
  return { ...publicJwk(parseCertificate(der).spki), use: "x509-svid", x5c: [Buffer.from(der).toString("base64")] }
}

function encodeJwtKey({ jwk, kid }: JwtAuthority): JsonObject {
  return { ...jwk, use: "jwt-svid", kid }
}

function readKeys(document: JsonObject): readonly JsonObject[] {
  const keys = document["keys"]
  if (!Array.isArray(keys)) throw refused("bundle-member", "bundle document has no list of keys")
  if (keys.length > MAX_KEYS) throw refused("bundle-size", "bundle document has more than 4096 keys")
  return keys.map((key: Json) => {
    if (isJsonObject(key)) return key
    throw refused("bundle-key", "bundle document has a key that is no object")
  })
}

/** Nothing for what consumers must ignore. @see X5-21 TD-04 */
function readX509Key(key: JsonObject): readonly Uint8Array[] {
  const chain = key["x5c"]
  if (!isKnownKeyType(key["kty"]) || chain === undefined) return []
  const first = Array.isArray(chain) ? chain[0] : undefined
  const der = typeof first === "string" ? decodeBase64(first) : undefined
  if (der === undefined) throw refused("bundle-certificate", "x5c does not begin with a certificate in base64")
  parseCertificate(der)
  return [der]
}

/** Nothing for keys of a kind that cannot verify JWT-SVIDs of ours to read: a token that they signed will not verify. */
function readJwtKey(key: JsonObject): readonly JwtAuthority[] {
  const shape = JWT_KEY_KINDS.find(({ kty, crv }) => kty === key["kty"] && crv === key["crv"])
  if (shape === undefined) return []
  const kid = key["kid"]
  if (typeof kid !== "string" || kid === "" || kid.length > MAX_KID) {
    throw refused("bundle-key", "JWT key has no kid of 1 to 256 characters")
  }
  const jwk = Object.fromEntries(shape.members.map((name) => [name, readMember(key, name)]))
  return [{ kid, algorithm: shape.algorithm, jwk }]
}

function readMember(key: JsonObject, name: string): string {
  const value = key[name]
  if (typeof value !== "string" || !MEMBER.test(value)) throw refused("bundle-key", `JWT key has no usable "${name}"`)
  return value
}

function refuseDuplicateKids(authorities: readonly JwtAuthority[]): void {
  const kids = new Set(authorities.map(({ kid }) => kid))
  if (kids.size !== authorities.length) throw refused("bundle-key", "two JWT keys have one kid")
}

/** A larger one is taken for `most`: others may count in 64 bits, which neither a number nor the wire between us can say. @see TD-27 */
function readWhole(document: JsonObject, name: string, most: number): number | undefined {
  const value = document[name]
  if (value === undefined) return undefined
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return Math.min(value, most)
  throw refused("bundle-member", `${name} is not a whole number`)
}

function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64")
  return bytes.length > 0 && bytes.toString("base64") === text ? new Uint8Array(bytes) : undefined
}

function isKnownKeyType(kty: Json | undefined): boolean {
  return kty === "EC" || kty === "RSA"
}

function refused(reason: BundleReason, message: string): IdentityError {
  return new IdentityError("malformed", message, { reason })
}

const MEMBER = /^[A-Za-z0-9_-]{1,1024}$/
const MAX_KID = 256
/** Of 32 bits. */
const MAX_HINT = 0xffff_ffff
const MAX_KEYS = 4096
const MAX_TEXT = 4 * 1024 * 1024
