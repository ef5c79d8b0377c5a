import type { JwsAlgorithm } from "../jose/algorithm.ts"
import type { PublicJwk } from "../jose/jwk.ts"
import type { Json, JsonObject } from "../json.ts"
import { dpopRefusal } from "./dpop-refusal.ts"

/**
 * The public key that a proof brings along: the members that its thumbprint is made of, and nothing else. A private or
 * symmetric member, one that is not known, or a key that is of another kind than `algorithm` needs or for something else is refused.
 * @throws IdentityError `malformed`, reason `dpop-key-refused` @see DP-05
 */
export function parseProofKey(jwk: JsonObject, algorithm: JwsAlgorithm): PublicJwk {
  const kty = algorithm.startsWith("ES") ? "EC" : "RSA"
  const members: readonly string[] = KEY_MEMBERS[kty]
  for (const [name, value] of Object.entries(jwk)) {
    if (saysPublicKey(name, value)) continue
    if (!members.includes(name) && !DESCRIPTIONS.has(name)) throw dpopRefusal("dpop-key-refused")
    if (typeof value !== "string" || value === "" || value.length > MAX_MEMBER) throw dpopRefusal("dpop-key-refused")
  }
  if (jwk["kty"] !== kty || (jwk["alg"] ?? algorithm) !== algorithm || (jwk["use"] ?? "sig") !== "sig") {
    throw dpopRefusal("dpop-key-refused")
  }
  return Object.fromEntries(members.map((name) => [name, textOf(jwk, name)]))
}

/** What Web Crypto writes into each public key that it exports. */
function saysPublicKey(name: string, value: Json | undefined): boolean {
  if (name === "ext") return typeof value === "boolean"
  return name === "key_ops" && Array.isArray(value) && value.length === 1 && value[0] === "verify"
}

function textOf(jwk: JsonObject, name: string): string {
  const value = jwk[name]
  if (typeof value !== "string") throw dpopRefusal("dpop-key-refused")
  return value
}

const KEY_MEMBERS = { EC: ["crv", "kty", "x", "y"], RSA: ["e", "kty", "n"] } as const satisfies Record<
  string,
  readonly string[]
>
/** May stand beside them, and say nothing that we rely on. */
const DESCRIPTIONS: ReadonlySet<string> = new Set(["alg", "use", "kid"])
/** A modulus of 4096 bits has 683. */
const MAX_MEMBER = 1024
