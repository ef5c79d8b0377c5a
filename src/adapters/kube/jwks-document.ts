import { IdentityError } from "../../core/errors.ts"
import { JWS_ALGORITHMS, type JwsAlgorithm } from "../../core/jose/algorithm.ts"
import { isJsonObject, type Json, type JsonObject, parseJsonObject } from "../../core/json.ts"
import type { VerificationKey } from "../../ports/jws.ts"

/**
 * Read a JWK Set: at most 64 keys. Keys that are not for signatures, or of a kind unknown here, are left out as RFC 7517
 * asks; a key without `alg` gets the one that its kind implies (RSA: RS256, as Kubernetes signs).
 * @throws IdentityError `malformed` also for two different keys under one `kid` @see ATT-18 JOS-05
 */
export function parseJwksDocument(text: string): readonly VerificationKey[] {
  const { keys: list } = parseJsonObject(text)
  if (!Array.isArray(list)) throw malformed("JWK set has no list of keys")
  if (list.length > MAX_KEYS) throw malformed("JWK set has more than 64 keys")
  const keys = list.map(parseKey).filter((key) => key !== undefined)
  const byKid = new Map<string, VerificationKey>()
  const distinct = keys.filter((key) => {
    if (key.kid === undefined) return true
    const twin = byKid.get(key.kid)
    if (twin !== undefined && !isSame(twin, key)) throw malformed("JWK set has two keys with one kid")
    byKid.set(key.kid, key)
    return twin === undefined
  })
  if (distinct.length === 0) throw malformed("JWK set has no key that can verify a token")
  return distinct
}

function parseKey(value: Json): VerificationKey | undefined {
  if (!isJsonObject(value)) throw malformed("JWK set has an entry that is not an object")
  const { kid, kty, use } = value
  if (kid !== undefined && (typeof kid !== "string" || kid === "")) throw malformed("JWK has a kid that is not a text")
  if ((use !== undefined && use !== "sig") || !mayVerify(value["key_ops"])) return undefined
  const algorithm = algorithmOf(value)
  const members = typeof kty === "string" ? MEMBERS.get(kty) : undefined
  return algorithm && members && { kid, algorithm, jwk: pick(value, members) }
}

/** RFC 7517 section 4.3. */
function mayVerify(operations: Json | undefined): boolean {
  return operations === undefined || (Array.isArray(operations) && operations.includes("verify"))
}

function algorithmOf({ alg, kty, crv }: JsonObject): JwsAlgorithm | undefined {
  if (alg !== undefined) return JWS_ALGORITHMS.find((known) => known === alg)
  if (kty === "RSA") return "RS256"
  return typeof crv === "string" ? CURVE_ALGORITHM.get(crv) : undefined
}

function pick(jwk: JsonObject, names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    names.map((name) => {
      const value = jwk[name]
      if (typeof value !== "string" || value.length > MAX_MEMBER) throw malformed(`JWK has no valid ${name}`)
      return [name, value]
    }),
  )
}

function isSame(left: VerificationKey, right: VerificationKey): boolean {
  const names = Object.keys(left.jwk)
  return left.algorithm === right.algorithm && names.every((name) => left.jwk[name] === right.jwk[name])
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

const MAX_KEYS = 64
/** Base64url of an RSA modulus of 4096 bits takes 683. */
const MAX_MEMBER = 1024
const MEMBERS: ReadonlyMap<string, readonly string[]> = new Map([
  ["EC", ["kty", "crv", "x", "y"]],
  ["RSA", ["kty", "n", "e"]],
])
const CURVE_ALGORITHM: ReadonlyMap<string, JwsAlgorithm> = new Map([
  ["P-256", "ES256"],
  ["P-384", "ES384"],
  ["P-521", "ES512"],
])
