import type { AuthorityRole } from "../../core/authority/authority-roles.ts"
import { type JsonObject, parseJsonObject } from "../../core/json.ts"
import { parseTrustDomain } from "../../core/spiffe/id.ts"
import type { AuthorityRecord, JwtKeyRecord, RootRecord } from "../../ports/authority-journal.ts"
import { integerIn, objectOf, objectsIn, oneOf, textIn, textsIn } from "./json-fields.ts"
import { parseController, parseEpochs, parseLooseKeys, parseRotations } from "./rotation-json.ts"

/** The authority record as the store keeps it: JSON, with bytes in base64. */
export function encodeAuthority(record: AuthorityRecord): string {
  const roots = record.roots.map((root) => ({
    ...root,
    certificate: base64(root.certificate),
    crossCertificates: root.crossCertificates.map(base64),
  }))
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
    // Records from before there were rotations have none of these three.
    requiredEpoch: record["requiredEpoch"] === undefined ? 1 : integerIn(record, "requiredEpoch"),
    roots: objectsIn(record, "roots").map(parseRoot),
    jwtKeys: objectsIn(record, "jwtKeys").map(parseJwtKey),
    rotations: parseRotations(record["rotations"]),
    ...(record["emergencyEpochs"] === undefined ? {} : { emergencyEpochs: parseEpochs(record["emergencyEpochs"]) }),
    controller: parseController(record["controller"]),
    ...(record["restoredAt"] === undefined ? {} : { restoredAt: integerIn(record, "restoredAt") }),
    ...(record["looseKeys"] === undefined ? {} : { looseKeys: parseLooseKeys(record["looseKeys"]) }),
  }
}

function parseRoot(root: JsonObject): RootRecord {
  return {
    keyId: textIn(root, "keyId"),
    certificate: bytes(textIn(root, "certificate")),
    notAfter: integerIn(root, "notAfter"),
    state: parseRole(root),
    // Records from before roots vouched for each other have none.
    crossCertificates: root["crossCertificates"] === undefined ? [] : textsIn(root, "crossCertificates").map(bytes),
  }
}

function base64(der: Uint8Array): string {
  return Buffer.from(der).toString("base64")
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"))
}

/** Records from before JWT keys rotated like roots have `next` for what is announced. */
function parseRole(authority: JsonObject): AuthorityRole {
  const role = oneOf(authority, "state", ["prepared", "published", "next", "active", "retired", "removed"])
  return role === "next" ? "published" : role
}

function parseJwtKey(key: JsonObject): JwtKeyRecord {
  const jwk = objectOf(key["jwk"], "jwk")
  return {
    keyId: textIn(key, "keyId"),
    kid: textIn(key, "kid"),
    algorithm: oneOf(key, "algorithm", ["ES256", "RS256"]),
    jwk: Object.fromEntries(Object.keys(jwk).map((name) => [name, textIn(jwk, name)])),
    state: parseRole(key),
    since: integerIn(key, "since"),
    ...(key["signedUntil"] === undefined ? {} : { signedUntil: integerIn(key, "signedUntil") }),
  }
}
