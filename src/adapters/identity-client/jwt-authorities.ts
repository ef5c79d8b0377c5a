import { IdentityError } from "../../core/errors.ts"
import { isJsonObject, type Json, parseJsonObject } from "../../core/json.ts"
import type { JwtAuthority } from "../../core/spiffe/bundle.ts"
import { MAX_AUTHORITIES } from "../../core/spiffe/bundle-bounds.ts"
import { JWT_KEY_KINDS } from "../../core/spiffe/jwt-key-kind.ts"

/** The JWT keys of a bundle on the wire. A key of a kind that we do not use is skipped. @throws IdentityError `malformed` */
export function parseJwtAuthorities(encoded: Uint8Array): readonly JwtAuthority[] {
  if (encoded.length === 0) return []
  const keys = parseJsonObject(Buffer.from(encoded).toString("utf8"))["keys"]
  if (!Array.isArray(keys) || keys.length > MAX_AUTHORITIES)
    throw new IdentityError("malformed", "bundle has no list of JWT keys")
  return keys.flatMap(parseKey)
}

function parseKey(key: Json): readonly JwtAuthority[] {
  if (!isJsonObject(key) || (key["use"] ?? "jwt-svid") !== "jwt-svid") return []
  const { kid } = key
  const kind = JWT_KEY_KINDS.find(({ kty, crv }) => kty === key["kty"] && crv === key["crv"])
  if (kind === undefined || typeof kid !== "string" || kid === "") return []
  const members = kind.members.map((name) => [name, key[name]] as const)
  if (!members.every((member): member is [(typeof member)[0], string] => typeof member[1] === "string")) return []
  return [{ kid, algorithm: kind.algorithm, jwk: Object.fromEntries(members) }]
}
