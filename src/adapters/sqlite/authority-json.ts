import { isJsonObject, type Json, type JsonObject, parseJsonObject } from "../../core/json.ts"
import { parseTrustDomain } from "../../core/spiffe/id.ts"
import type { AuthorityRecord, JwtKeyRecord, RootRecord } from "../../ports/authority-journal.ts"

/** The authority record as the store keeps it: JSON, with bytes in base64. */
export function encodeAuthority(record: AuthorityRecord): string {
  const roots = record.roots.map((root) => ({ ...root, certificate: Buffer.from(root.certificate).toString("base64") }))
  return JSON.stringify({ ...record, roots })
}

/** @throws TypeError when the store holds something else: it is damaged, or a later version wrote it */
export function parseAuthority(text: string): AuthorityRecord {
  const record = parseJsonObject(text)
  return {
    trustDomain: parseTrustDomain(textIn(record, "trustDomain")),
    incarnation: textIn(record, "incarnation"),
    revision: integerIn(record, "revision"),
    epoch: integerIn(record, "epoch"),
    roots: objectsIn(record, "roots").map(parseRoot),
    jwtKeys: objectsIn(record, "jwtKeys").map(parseJwtKey),
  }
}

function parseRoot(root: JsonObject): RootRecord {
  return {
    keyId: textIn(root, "keyId"),
    certificate: new Uint8Array(Buffer.from(textIn(root, "certificate"), "base64")),
    notAfter: integerIn(root, "notAfter"),
    state: oneOf(root, "state", ["active", "retired"]),
  }
}

function parseJwtKey(key: JsonObject): JwtKeyRecord {
  const jwk = objectOf(key["jwk"], "jwk")
  return {
    keyId: textIn(key, "keyId"),
    kid: textIn(key, "kid"),
    algorithm: oneOf(key, "algorithm", ["ES256", "RS256"]),
    jwk: Object.fromEntries(Object.keys(jwk).map((name) => [name, textIn(jwk, name)])),
    state: oneOf(key, "state", ["next", "active", "retired"]),
    since: integerIn(key, "since"),
    ...(key["grace"] === undefined ? {} : { grace: integerIn(key, "grace") }),
  }
}

function textIn(object: JsonObject, name: string): string {
  const value = object[name]
  if (typeof value !== "string") throw unreadable(name)
  return value
}

function integerIn(object: JsonObject, name: string): number {
  const value = object[name]
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw unreadable(name)
  return value
}

function oneOf<T extends string>(object: JsonObject, name: string, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === object[name])
  if (found === undefined) throw unreadable(name)
  return found
}

function objectsIn(object: JsonObject, name: string): readonly JsonObject[] {
  const value = object[name]
  if (!Array.isArray(value)) throw unreadable(name)
  return value.map((item: Json) => objectOf(item, name))
}

function objectOf(value: Json | undefined, name: string): JsonObject {
  if (!isJsonObject(value)) throw unreadable(name)
  return value
}

function unreadable(name: string): TypeError {
  return new TypeError(`store: authority record has no readable "${name}"`)
}
