import type { IdentityView } from "../../app/deliver/identity-source.ts"
import { encodeJwtSvidKeys } from "../../core/jose/jwk-set.ts"
import type { ParsedJwtSvid } from "../../core/jose/jwt-svid.ts"
import { trustDomainId } from "../../core/spiffe/id.ts"
import type { JWTBundlesResponse, JWTSVIDResponse, ValidateJWTSVIDResponse } from "../../gen/spiffe/workload.ts"
import type { JwtIssued } from "../../ports/identity-authority.ts"
import { uniqueHints } from "./unique-hints.ts"
import { federatedBundles } from "./visible-bundles.ts"

/** @see WA-03 WA-12 WA-13 WA-18 */
export function encodeJwtBundles(view: IdentityView): JWTBundlesResponse {
  const federated = federatedBundles(view).filter(({ jwtAuthorities }) => jwtAuthorities.length > 0)
  const bundles = [view.snapshot.own, ...federated].map(({ trustDomain, jwtAuthorities }) => [
    trustDomainId(trustDomain),
    Buffer.from(encodeJwtSvidKeys(jwtAuthorities)),
  ])
  return { bundles: Object.fromEntries(bundles) }
}

/** @see WA-04 WA-10 */
export function encodeJwtSvids(issued: readonly JwtIssued[]): JWTSVIDResponse {
  return { svids: uniqueHints(issued).map(({ spiffeId, token, hint }) => ({ spiffeId, svid: token, hint })) }
}

/** All claims as they stand, but `aud` always as a list. @see WA-15 */
export function encodeValidated(token: ParsedJwtSvid): ValidateJWTSVIDResponse {
  return { spiffeId: token.spiffeId, claims: { ...token.claims, aud: [...token.audience] } }
}
