import { type ParsedJwtSvid, parseJwtSvid } from "../../core/jose/jwt-svid.ts"
import { digestBytes, digestToken } from "../../core/jose/token-digest.ts"
import { isJsonObject, type Json } from "../../core/json.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import { Principal } from "../../core/policy/principal.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { isReserved, trustDomainOf } from "../../core/spiffe/id.ts"
import type { Clock } from "../../ports/clock.ts"
import type { JwsVerifier } from "../../ports/jws.ts"
import type { DenyToken } from "../ban/deny-token.ts"
import type { RevocationView } from "../exchange/revocation-view.ts"
import { requirePlainBearer } from "./plain-bearer.ts"
import type { MayAct, ProvenToken } from "./proven-token.ts"
import { refuseAs, refuseLaterAs } from "./token-refused.ts"
import { requireInDate } from "./token-window.ts"
import { VerifiedTokens } from "./verified-tokens.ts"

export interface ProveJwtSvidDeps {
  readonly verifier: JwsVerifier
  /** Of the own trust domain and of those that are federated with it. */
  readonly bundles: () => readonly TrustBundle[]
  readonly revocations: Pick<RevocationView, "isRevoked">
  readonly deny: DenyToken
  readonly clock: Clock
  /** Our own name: the audience of tokens that are made for us. */
  readonly issuer: string
}

/**
 * Prove by a JWT-SVID of the own or a federated trust domain, for which `accepts` answers whether it may be for this audience.
 * It may be used again. @throws IdentityError `unauthenticated` with a `RequestReason`
 * @see SCA-02 SCA-03 SCA-04 TX-10 JW-14 JOS-13
 */
export type ProveJwtSvid = (token: string, accepts: (audience: readonly string[]) => boolean) => Promise<ProvenToken>

export function makeProveJwtSvid(deps: ProveJwtSvidDeps): ProveJwtSvid {
  const verified = new VerifiedTokens<SaidByJwtSvid>()
  const keysFor = ({ spiffeId }: Pick<SaidByJwtSvid, "spiffeId">) => {
    const trustDomain = trustDomainOf(spiffeId)
    return deps.bundles().find((one) => one.trustDomain === trustDomain)?.jwtAuthorities
  }
  const verify = async (token: string, digest: string): Promise<SaidByJwtSvid> => {
    const { jws, ...said } = refuseAs("token-invalid", () => parseJwtSvid(token))
    const keys = keysFor(said)
    if (keys === undefined || isReserved(said.spiffeId)) throw requestRefusal("token-invalid")
    await refuseLaterAs("token-invalid", () => deps.verifier.verify(jws, keys))
    requirePlainBearer(said.claims)
    const svid = { ...said, principal: principalOf(said, digest) }
    verified.keep(digest, svid, keys)
    return svid
  }
  return async (token, accepts) => {
    const digest = digestToken(token)
    const svid = verified.find(digest, keysFor) ?? (await verify(token, digest))
    requireInDate(svid, deps.clock.now())
    if (!accepts(svid.audience)) throw requestRefusal("token-audience-mismatch")
    await refuseRevoked(svid, deps)
    return {
      principal: svid.principal,
      scopes: undefined,
      actors: [],
      mayAct: readMayAct(svid.claims["may_act"]),
      confirmation: undefined,
      singleUse: undefined,
      forUsAlone: isSole(svid.audience, deps.issuer),
    }
  }
}

/** All but the token itself, and whom it proves while every check that can change holds. */
interface SaidByJwtSvid extends Omit<ParsedJwtSvid, "jws"> {
  readonly principal: Principal
}

function principalOf({ spiffeId, expiresAt }: Omit<SaidByJwtSvid, "principal">, digest: string): Principal {
  return Principal.witness({
    id: spiffeId,
    clientId: spiffeId,
    proof: "jwt-svid",
    source: trustDomainOf(spiffeId),
    expiresAt,
    evidenceDigest: digestBytes(digest),
    attested: undefined,
  })
}

/** True when an audience is this one alone. @see SCA-02 */
export function isSole(audience: readonly string[], only: string): boolean {
  return audience.length === 1 && audience[0] === only
}

/** Who may act by a token's own words. @throws IdentityError `unauthenticated` for what is no such statement @see TX-06 TX-12 */
export function readMayAct(value: Json | undefined): MayAct | undefined {
  if (value === undefined) return undefined
  if (!isJsonObject(value)) throw requestRefusal("token-invalid")
  const { sub, iss } = value
  if (typeof sub !== "string" || (iss !== undefined && typeof iss !== "string")) throw requestRefusal("token-invalid")
  return { sub, iss }
}

async function refuseRevoked(svid: SaidByJwtSvid, { revocations, deny }: ProveJwtSvidDeps): Promise<void> {
  const jti = svid.claims["jti"]
  const tokenId = typeof jti === "string" ? jti : undefined
  const named = { tokenId, subjects: [svid.spiffeId], issuedAt: svid.issuedAt }
  if (revocations.isRevoked(named) || (await deny(named))) throw requestRefusal("token-revoked")
}
