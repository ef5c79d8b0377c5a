import { hash } from "node:crypto"
import type { JwtAuthority } from "../spiffe/bundle.ts"
import type { Seconds } from "../time.ts"

/**
 * The JWT keys of a trust domain as relying parties of OIDC read them: `use` is `sig`, `alg` is there, and nothing but public
 * members. SPIFFE writes the same keys otherwise. @see JWKS-01 JWKS-02 AWS-03 GCP-01
 */
export function encodeOidcKeys(authorities: readonly JwtAuthority[]): string {
  const keys = authorities.map(({ kid, algorithm, jwk }) => ({ ...jwk, kid, use: "sig", alg: algorithm }))
  return JSON.stringify({ keys })
}

/** A strong entity tag: equal for equal content, and for no other. @see DISC-12 */
export function entityTag(body: string): string {
  return `"${hash("sha256", body, "base64url").slice(0, 22)}"`
}

/**
 * How long relying parties may keep the keys: a quarter of the time for which a key is announced, so that everybody has seen it
 * before it signs, and a minute at most while keys change. @see JWKS-09
 */
export function jwksMaxAge(publishAhead: Seconds, rotating: boolean): Seconds {
  const longest = Math.min(MAX_AGE, Math.floor(publishAhead / 4))
  return rotating ? Math.min(longest, MAX_AGE_ROTATING) : longest
}

const MAX_AGE: Seconds = 300
const MAX_AGE_ROTATING: Seconds = 60
