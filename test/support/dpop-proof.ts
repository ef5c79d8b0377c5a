import { hash, randomUUID } from "node:crypto"
import type { JwtKey } from "./jwt-key.ts"

/** A DPoP proof of `key`, good for one request. `claims` and `header` are laid over it. */
export function dpopProof(
  key: JwtKey,
  request: { readonly method: string; readonly url: string; readonly token?: string; readonly now: number },
  claims: object = {},
  header: object = {},
): string {
  const { method, url, token, now } = request
  const ath = token === undefined ? undefined : hash("sha256", token, "base64url")
  return key.token(
    { jti: randomUUID(), htm: method, htu: url, iat: now, ath, ...claims },
    { typ: "dpop+jwt", kid: undefined, jwk: key.authority.jwk, ...header },
  )
}
