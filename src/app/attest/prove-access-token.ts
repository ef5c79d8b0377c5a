import { type AccessTokenClaims, type ParsedAccessToken, parseAccessToken } from "../../core/jose/access-token.ts"
import { digestBytes, digestToken } from "../../core/jose/token-digest.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import { Principal } from "../../core/policy/principal.ts"
import type { JwtAuthority } from "../../core/spiffe/bundle.ts"
import type { Clock } from "../../ports/clock.ts"
import type { JwsVerifier } from "../../ports/jws.ts"
import type { DenyToken } from "../ban/deny-token.ts"
import type { RevocationView } from "../exchange/revocation-view.ts"
import type { ProvenToken } from "./proven-token.ts"
import { refuseAs, refuseLaterAs } from "./token-refused.ts"
import { requireInDate } from "./token-window.ts"
import { VerifiedTokens } from "./verified-tokens.ts"

export interface ProveAccessTokenDeps {
  readonly verifier: JwsVerifier
  /** Of the own trust domain. */
  readonly authorities: () => readonly JwtAuthority[]
  readonly revocations: Pick<RevocationView, "isRevoked">
  readonly deny: DenyToken
  readonly clock: Clock
  /** `iss` of every token of ours. */
  readonly issuer: string
}

/**
 * Verify an access token of ours, for which `accepts` answers whether it may say this. @param signed told what it says once its
 * signature is good, whatever else is wrong with it
 * @throws IdentityError `unauthenticated` with a `RequestReason` @see AT-05 TX-10
 */
export type ProveAccessToken = (
  token: string,
  accepts: (claims: AccessTokenClaims) => boolean,
  signed?: (claims: AccessTokenClaims) => void,
) => Promise<ProvenToken>

export function makeProveAccessToken(deps: ProveAccessTokenDeps): ProveAccessToken {
  const verified = new VerifiedTokens<SaidByAccessToken>()
  const verify = async (token: string, digest: string): Promise<SaidByAccessToken> => {
    const { jws, ...parsed } = refuseAs("token-invalid", () => parseAccessToken(token))
    if (parsed.claims.iss !== deps.issuer) throw requestRefusal("token-invalid")
    const keys = deps.authorities()
    await refuseLaterAs("token-invalid", () => deps.verifier.verify(jws, keys))
    const said = { ...parsed, principal: principalOf(parsed.claims, digest) }
    verified.keep(digest, said, keys)
    return said
  }
  return async (token, accepts, signed) => {
    const digest = digestToken(token)
    const { claims, notBefore, principal } = verified.find(digest, deps.authorities) ?? (await verify(token, digest))
    signed?.(claims)
    requireInDate({ expiresAt: claims.exp, issuedAt: claims.iat, notBefore }, deps.clock.now())
    if (!accepts(claims)) throw requestRefusal("token-audience-mismatch")
    const { jti: tokenId, iat: issuedAt, sub, clientId, actors } = claims
    const named = { tokenId, issuedAt, subjects: [sub, clientId, ...actors] }
    if (deps.revocations.isRevoked(named) || (await deps.deny(named))) throw requestRefusal("token-revoked")
    return {
      principal,
      scopes: claims.scopes,
      actors,
      mayAct: undefined,
      confirmation: claims.confirmation,
      singleUse: undefined,
      forUsAlone: false,
    }
  }
}

/** All but the token itself, and whom it proves while every check that can change holds. */
interface SaidByAccessToken extends Omit<ParsedAccessToken, "jws"> {
  readonly principal: Principal
}

function principalOf({ sub, clientId, iss, exp }: AccessTokenClaims, digest: string): Principal {
  return Principal.witness({
    id: sub,
    clientId,
    proof: "access-token",
    source: iss,
    expiresAt: exp,
    evidenceDigest: digestBytes(digest),
    attested: undefined,
  })
}
