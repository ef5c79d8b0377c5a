import type { JwtAuthority } from "../spiffe/bundle.ts"

/**
 * The JWT keys of a bundle as a JWK Set in the SPIFFE rendering: `use` is `jwt-svid`, `kid` is kept, nothing else but the
 * key's own members. @see JW-11 WA-13 JWKS-02
 */
export function encodeJwtSvidKeys(authorities: readonly JwtAuthority[]): Uint8Array {
  const keys = authorities.map(({ kid, jwk }) => ({ ...jwk, kid, use: "jwt-svid" }))
  return Buffer.from(JSON.stringify({ keys }))
}
