import { IdentityError } from "../../core/errors.ts"
import { isJsonObject, type Json, parseJsonObject } from "../../core/json.ts"
import type { JwtAuthority } from "../../core/spiffe/bundle.ts"

/** The JWT keys of a bundle on the wire. A key of a kind that we do not use is skipped. @throws IdentityError `malformed` */
export function parseJwtAuthorities(encoded: Uint8Array): readonly JwtAuthority[] {
  if (encoded.length === 0) return []
  const keys = parseJsonObject(Buffer.from(encoded).toString("utf8"))["keys"]
  if (!Array.isArray(keys) || keys.length > MAX_KEYS)
    throw new IdentityError("malformed", "bundle has no list of JWT keys")
  return keys.flatMap(parseKey)
}

function parseKey(key: Json): readonly JwtAuthority[] {
  if (!isJsonObject(key) || (key["use"] ?? "jwt-svid") !== "jwt-svid") return []
  const { kty, kid } = key
  const kind = typeof kty === "string" ? KINDS[kty] : undefined
  if (kind === undefined || typeof kid !== "string" || kid === "") return []
  const members = kind.members.map((name) => [name, key[name]] as const)
  if (!members.every((member): member is [string, string] => typeof member[1] === "string")) return []
  if (kty === "EC" && key["crv"] !== "P-256") return []
  return [{ kid, algorithm: kind.algorithm, jwk: Object.fromEntries(members) }]
}

const KINDS: Readonly<
  Record<string, { readonly algorithm: JwtAuthority["algorithm"]; readonly members: readonly string[] }>
> = {
  EC: { algorithm: "ES256", members: ["kty", "crv", "x", "y"] },
  RSA: { algorithm: "RS256", members: ["kty", "n", "e"] },
}
const MAX_KEYS = 256
