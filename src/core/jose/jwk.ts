import { createHash, createPublicKey } from "node:crypto"

/** The public members of a key, as RFC 7517 and 7518 write them: `kty` and the key's own parameters, nothing else. */
export type PublicJwk = Readonly<Record<string, string>>

/** @param spki SubjectPublicKeyInfo, DER, of an EC or RSA key @throws RangeError for another kind of key */
export function publicJwk(spki: Uint8Array): PublicJwk {
  const jwk = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }).export({ format: "jwk" })
  const members = MEMBERS[jwk.kty ?? ""]
  if (members === undefined) throw new RangeError(`no JWK for key type ${jwk.kty}`)
  const values: Readonly<Record<string, unknown>> = { ...jwk }
  return Object.fromEntries(members.map((name) => [name, String(values[name])]))
}

/** RFC 7638 thumbprint, SHA-256, base64url: the `kid` of all our keys. @see JWKS-07 */
export function thumbprint(jwk: PublicJwk): string {
  const ordered = Object.fromEntries(Object.entries(jwk).sort(([left], [right]) => (left < right ? -1 : 1)))
  return createHash("sha256").update(JSON.stringify(ordered)).digest("base64url")
}

/** Exactly the members that a thumbprint is made of. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ["crv", "kty", "x", "y"],
  RSA: ["e", "kty", "n"],
}
