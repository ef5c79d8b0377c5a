import { JWS_ALGORITHMS } from "../../core/jose/algorithm.ts"
import { type JwsProfile, parseClaimsObject, parseCompactJws } from "../../core/jose/compact.ts"
import { parseNumericDate, parseOptionalNumericDate } from "../../core/jose/registered-claims.ts"
import { digestToken } from "../../core/jose/token-digest.ts"
import type { JsonObject } from "../../core/json.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import { Principal } from "../../core/policy/principal.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { ClusterKeys } from "../../ports/kube.ts"
import type { ReplayLog } from "../../ports/replay-log.ts"
import { refuseAs, refuseLaterAs } from "./token-refused.ts"
import { requireInDate, usableFrom } from "./token-window.ts"

/** A client that was registered with its public keys. */
export interface RegisteredClient {
  readonly clientId: string
  /** The identity that it has in rules and tokens. */
  readonly spiffeId: SpiffeId
  readonly keys: ClusterKeys
}

export interface ProveClientAssertionDeps {
  readonly replayLog: ReplayLog
  readonly clock: Clock
}

/** A client whose assertion is in order. It has not authenticated before that is spent. */
export interface ProvenAssertion {
  readonly principal: Principal
  /** @throws IdentityError `unauthenticated`, reason `client-assertion-replayed`; `not-ready` or `rate-limited` of the replay log @see JB-01 RPL-07 */
  spend(): Promise<void>
}

/**
 * Prove by an assertion that a registered client signed itself (`private_key_jwt`). It is for the issuer alone, lives at most
 * five minutes and is good once: whoever relies on it spends it.
 * @throws IdentityError `unauthenticated` with a `RequestReason` @see JB-01 JB-03 JB-04 JB-05
 */
export type ProveClientAssertion = (
  assertion: string,
  client: RegisteredClient,
  issuer: string,
  signal: AbortSignal,
) => Promise<ProvenAssertion>

export function makeProveClientAssertion({ replayLog, clock }: ProveClientAssertionDeps): ProveClientAssertion {
  return async (assertion, client, issuer, signal) => {
    const { jws, claims } = refuseAs("client-assertion-invalid", () => {
      const parsed = parseCompactJws(assertion, PROFILE)
      return { jws: parsed, claims: parseClaimsObject(parsed.payloadBytes) }
    })
    const { clientId } = client
    if (claims["iss"] !== clientId || claims["sub"] !== clientId) throw requestRefusal("client-assertion-invalid")
    await refuseLaterAs("client-assertion-invalid", () => client.keys.verify(jws, signal))
    const { jti, from, expiresAt } = readTerms(claims, issuer, clock.now())
    const claim = { use: "client-assertion", id: `${clientId} ${jti}`, from, until: expiresAt } as const
    return {
      principal: Principal.witness({
        id: client.spiffeId,
        clientId,
        proof: "private-key-jwt",
        source: clientId,
        expiresAt,
        evidenceDigest: Buffer.from(digestToken(assertion), "hex"),
        attested: undefined,
      }),
      spend: async () => {
        if ((await replayLog.claim(claim)) === "replayed") throw requestRefusal("client-assertion-replayed")
      },
    }
  }
}

function readTerms(
  claims: JsonObject,
  issuer: string,
  now: Instant,
): { readonly jti: string; readonly from: Instant; readonly expiresAt: Instant } {
  const window = refuseAs("client-assertion-invalid", () => ({
    expiresAt: parseNumericDate(claims["exp"], "exp"),
    notBefore: parseOptionalNumericDate(claims["nbf"], "nbf"),
    issuedAt: parseOptionalNumericDate(claims["iat"], "iat"),
  }))
  requireInDate(window, now)
  const { jti, aud } = claims
  const sole = aud === issuer || (Array.isArray(aud) && aud.length === 1 && aud[0] === issuer)
  if (!sole) throw requestRefusal("token-audience-mismatch")
  const tooLong = window.expiresAt > Math.min(window.issuedAt ?? now, now) + MAX_LIFE + SKEW
  if (tooLong) throw requestRefusal("client-assertion-too-long")
  if (typeof jti !== "string" || jti === "" || jti.length > MAX_JTI) throw requestRefusal("client-assertion-invalid")
  // Earlier it would have been too long.
  const from = Math.max(usableFrom(window), window.expiresAt - MAX_LIFE - SKEW)
  return { jti, from, expiresAt: window.expiresAt }
}

const PROFILE: JwsProfile = {
  algorithms: JWS_ALGORITHMS,
  types: ["JWT", "client-authentication+jwt"],
  thumbprints: true,
}
const MAX_LIFE: Seconds = 300
/** For clients whose clock is ahead. */
const SKEW: Seconds = 30
const MAX_JTI = 256
