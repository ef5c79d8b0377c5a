import type { JwtKeyAlgorithm } from "../../core/authority/jwt-keys.ts"
import { IdentityError } from "../../core/errors.ts"
import { encodeJwtSvidInput, sealJwtSvid } from "../../core/jose/jwt-svid.ts"
import { makeTokenId } from "../../core/jose/token-id.ts"
import type { Grant } from "../../core/policy/grant.ts"
import type { Clock } from "../../ports/clock.ts"
import type { SignIntent } from "../../ports/intent-signer.ts"
import type { Random } from "../../ports/random.ts"
import type { JwtKeySet } from "../authority/jwt-key-set.ts"
import type { Authorised, Authorize } from "./authorize.ts"
import type { IssueEvents } from "./events.ts"
import { issueAcrossEmergency } from "./hear-of-emergencies.ts"
import { grantedEvent, requesterOf } from "./intent.ts"
import { chooseLifetime } from "./lifetime.ts"
import type { IssueJwt, JwtRequest, JwtSvid } from "./requests.ts"
import { tellFailure } from "./tell-failure.ts"

export interface IssueJwtDeps {
  readonly authorize: Authorize
  readonly keys: Pick<JwtKeySet, "activeForSvids" | "whenReplaced">
  /** What all of the audiences verify, when the rules say more than that. @see JWKS-12 */
  readonly algorithmFor: (audience: readonly string[]) => JwtKeyAlgorithm | undefined
  readonly signIntent: SignIntent
  readonly clock: Clock
  readonly random: Random
  readonly events: IssueEvents
  /** `iss` of every token; `undefined` to leave it out. @see JW-10 */
  readonly issuer: string | undefined
  readonly epoch: () => number
}

/** The issuance cycle for JWT-SVIDs. The log keeps what was signed and a digest of the token, never the token. */
export function makeIssueJwt(deps: IssueJwtDeps): IssueJwt {
  return async (request, signal) => {
    const covers = (grant: Grant) => refuseAudience(grant, request.audience)
    const authorised = await deps.authorize(request, "jwt", signal, covers)
    return tellFailure(deps.events, "jwt", request.requestId, () =>
      issueAcrossEmergency(() => issue(deps, request, authorised, signal)),
    )
  }
}

async function issue(
  deps: IssueJwtDeps,
  request: JwtRequest,
  { attested, grant, subject }: Authorised,
  signal: AbortSignal,
): Promise<JwtSvid> {
  const { keys, algorithmFor } = deps
  const epoch = deps.epoch() // no later than the key @see ROT-76
  const key = await keys.whenReplaced(() => keys.activeForSvids(algorithmFor(request.audience)), signal)
  const now = deps.clock.now()
  const life = chooseLifetime({
    now,
    wanted: request.ttl,
    granted: grant.jwtTtl,
    issuerNotBefore: 0,
    issuerNotAfter: Number.POSITIVE_INFINITY,
    evidenceExpiresAt: attested.claims.expiresAt,
    jitter: 0,
    fraction: 0,
    backdate: 0,
  })
  if (life === undefined)
    throw new IdentityError("unauthenticated", "the token has expired", { reason: "token-expired" })
  const jti = makeTokenId(deps.random, deps.clock.monotonic())
  const input = encodeJwtSvidInput(key.jwtSvidHeader, {
    sub: grant.id,
    aud: request.audience,
    iat: now,
    exp: life.notAfter,
    jti,
    iss: deps.issuer,
  })
  const tbs = Buffer.from(input)
  const intent = {
    serial: jti,
    kind: "jwt" as const,
    authorityId: key.kid,
    epoch,
    spiffeId: grant.id,
    hint: grant.hint,
    tbs,
    notBefore: now,
    notAfter: life.notAfter,
    createdAt: now,
    requester: requesterOf(attested),
    rule: grant.rule,
    idempotencyKey: undefined,
  }
  const decision = grantedEvent("jwt", attested, grant, intent, request.requestId)
  const order = { intent, decision, reuseSince: now, subject, signer: key.signer, form: "p1363" } as const
  const { signature } = await deps.signIntent(order)
  const token = sealJwtSvid(input, signature)
  deps.events.jwtIssued(request.requestId)
  return { spiffeId: grant.id, hint: grant.hint, token, expiresAt: life.notAfter }
}

function refuseAudience(grant: Grant, audience: readonly string[]): void {
  const allowed = grant.audiences
  if (allowed === undefined || audience.every((one) => allowed.includes(one))) return
  throw new IdentityError("audience-denied", "the rules do not allow this identity a token for that audience", {
    reason: "audience-not-granted",
  })
}
