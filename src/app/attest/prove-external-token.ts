import { JWS_ALGORITHMS } from "../../core/jose/algorithm.ts"
import { type JwsProfile, parseClaimsObject, parseCompactJws } from "../../core/jose/compact.ts"
import { parseAudience, parseNumericDate, parseOptionalNumericDate } from "../../core/jose/registered-claims.ts"
import { digestToken } from "../../core/jose/token-digest.ts"
import type { Json, JsonObject } from "../../core/json.ts"
import { type ClaimTemplate, renderClaimTemplate } from "../../core/oauth/claim-template.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import { Principal } from "../../core/policy/principal.ts"
import { isReserved, type SpiffeId, type TrustDomain } from "../../core/spiffe/id.ts"
import type { Clock } from "../../ports/clock.ts"
import type { ClusterKeys } from "../../ports/kube.ts"
import type { RevocationView } from "../exchange/revocation-view.ts"
import { requirePlainBearer } from "./plain-bearer.ts"
import { readMayAct } from "./prove-jwt-svid.ts"
import type { ProvenToken } from "./proven-token.ts"
import { refuseAs, refuseLaterAs } from "./token-refused.ts"
import { requireInDate, usableFrom } from "./token-window.ts"

/** An issuer outside, such as a CI system, whose tokens are accepted. */
export interface ExternalIssuer {
  readonly name: string
  /** `iss`, compared as text. @see JOS-11 */
  readonly issuer: string
  /** A token must be for one or more of these and for nobody else. */
  readonly audiences: readonly string[]
  readonly keys: ClusterKeys
  /** Claims that must have exactly this value. */
  readonly requiredClaims: ReadonlyMap<string, string>
  readonly spiffeId: ClaimTemplate
}

export interface ProveExternalTokenDeps {
  readonly trustDomain: TrustDomain
  readonly clock: Clock
  /** A required value may also be one of a list, as groups are. */
  readonly searchLists?: true
  /** What was revoked since a token was issued. Default: nobody asks. @see EXT-05 REV-04 */
  readonly revocations?: Pick<RevocationView, "isRevoked">
}

/** Prove by a token of `issuer`. @throws IdentityError `unauthenticated` with a `RequestReason`; `attestor-down` @see EXT-01..EXT-04 */
export type ProveExternalToken = (token: string, issuer: ExternalIssuer, signal: AbortSignal) => Promise<ProvenToken>

export function makeProveExternalToken({
  trustDomain,
  clock,
  searchLists,
  revocations,
}: ProveExternalTokenDeps): ProveExternalToken {
  return async (token, issuer, signal) => {
    const { jws, claims } = refuseAs("token-invalid", () => {
      const parsed = parseCompactJws(token, PROFILE)
      return { jws: parsed, claims: parseClaimsObject(parsed.payloadBytes) }
    })
    if (claims["iss"] !== issuer.issuer) throw requestRefusal("token-invalid")
    await refuseLaterAs("token-invalid", () => issuer.keys.verify(jws, signal))
    const { audience, jti, ...window } = refuseAs("token-invalid", () => readClaims(claims))
    requireInDate(window, clock.now())
    if (!audience.every((one) => issuer.audiences.includes(one))) throw requestRefusal("token-audience-mismatch")
    for (const [name, value] of issuer.requiredClaims) {
      if (!hasValue(claims[name], value, searchLists === true)) throw requestRefusal("token-identity-missing")
    }
    const id = identityOf(issuer, claims, trustDomain)
    requirePlainBearer(claims)
    // Its jti is not one of ours.
    const named = { tokenId: undefined, subjects: [id], issuedAt: window.issuedAt }
    if (revocations?.isRevoked(named) === true) throw requestRefusal("token-revoked")
    return {
      principal: Principal.witness({
        id,
        clientId: id,
        proof: "external-token",
        source: issuer.name,
        expiresAt: window.expiresAt,
        evidenceDigest: Buffer.from(digestToken(token), "hex"),
        attested: undefined,
      }),
      scopes: undefined,
      actors: [],
      mayAct: readMayAct(claims["may_act"]),
      confirmation: undefined,
      singleUse: jti === undefined ? undefined : { id: `${issuer.issuer} ${jti}`, from: usableFrom(window) },
      forUsAlone: true,
    }
  }
}

/** @see EXT-03 ADM-18 */
function hasValue(claim: Json | undefined, value: string, searchLists: boolean): boolean {
  return claim === value || (searchLists && Array.isArray(claim) && claim.includes(value))
}

function readClaims(claims: JsonObject) {
  return {
    audience: parseAudience(claims["aud"]),
    jti: parseTokenId(claims["jti"]),
    expiresAt: parseNumericDate(claims["exp"], "exp"),
    notBefore: parseOptionalNumericDate(claims["nbf"], "nbf"),
    issuedAt: parseOptionalNumericDate(claims["iat"], "iat"),
  }
}

/** One that is no text must not count as none: the token would be good again and again. @see JB-06 */
function parseTokenId(jti: Json | undefined): string | undefined {
  if (jti === undefined || (typeof jti === "string" && jti.length <= MAX_JTI)) return jti
  throw requestRefusal("token-invalid")
}

function identityOf(issuer: ExternalIssuer, claims: JsonObject, trustDomain: TrustDomain): SpiffeId {
  const id = refuseAs("token-identity-missing", () => renderClaimTemplate(issuer.spiffeId, claims, trustDomain))
  if (id === undefined || isReserved(id)) throw requestRefusal("token-identity-missing")
  return id
}

const PROFILE: JwsProfile = { algorithms: JWS_ALGORITHMS, types: ["JWT"], thumbprints: true }
/** Together with the issuer's name it has to fit into a claim of the replay log. */
const MAX_JTI = 1024
