import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { type AccessTokenClaims, parseAccessToken } from "../../core/jose/access-token.ts"
import { findClientCredential } from "../../core/oauth/client-credential.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import type { Principal } from "../../core/policy/principal.ts"
import { parseWorkloadId, type SpiffeId } from "../../core/spiffe/id.ts"
import type { Seconds } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { ProveAccessToken } from "../attest/prove-access-token.ts"
import type { ProveJwtSvid } from "../attest/prove-jwt-svid.ts"
import { refuseAs } from "../attest/token-refused.ts"
import type { BanView } from "../ban/ban-view.ts"
import { refuseBanned, subjectOfParties } from "../ban/banned.ts"
import { actorOfPrincipal } from "../issue/issue-token.ts"
import type { OAuthCall } from "./answer-token-request.ts"
import type { AuthenticateClient } from "./authenticate-client.ts"
import type { RevocationView } from "./revocation-view.ts"

export interface RevokeDeps {
  readonly authenticate: AuthenticateClient
  readonly proveAccessToken: ProveAccessToken
  readonly proveJwtSvid: ProveJwtSvid
  readonly revocations: RevocationView
  /** Who may revoke all tokens of any subject. */
  readonly revokers: () => ReadonlySet<SpiffeId>
  readonly bans: Pick<BanView, "match">
  readonly clock: Clock
}

/**
 * Revoke a token of the caller's own, or, for the security team, every token of a subject that was issued until now. In force
 * here when it resolves, and durable. A token that is not ours or not valid any more is no error.
 * @throws IdentityError `unauthenticated`; `no-identity` for another's token; `policy-denied`; `malformed` for a JWT-SVID
 * @see REV-01 REV-02 REV-05
 */
export type Revoke = (call: OAuthCall, signal: AbortSignal) => Promise<void>

export function makeRevoke(deps: RevokeDeps): Revoke {
  return async (call, signal) => {
    const { form, authorization, chain, requestId } = call
    const [token, subject] = [form.one("token"), form.one("subject")]
    if (token === undefined && subject === undefined) throw requestRefusal("parameter-missing")
    if (token !== undefined && subject !== undefined) throw requestRefusal("parameter-not-allowed")
    const credential = findClientCredential({ form, authorization, hasCertificate: chain.length > 0 })
    const client = await deps.authenticate(credential, chain, signal)
    if (client === undefined) throw requestRefusal("client-authentication-missing")
    const caller = client.principal
    refuseBanned(deps.bans, subjectOfParties([caller]))
    if (token !== undefined) await revokeToken(deps, token, caller, requestId)
    if (subject !== undefined) await revokeSubject(deps, subject, caller, requestId)
  }
}

async function revokeToken(deps: RevokeDeps, token: string, caller: Principal, requestId: string): Promise<void> {
  const claims = await liveClaims(deps, token)
  if (claims === undefined) return refuseSvid(deps, token)
  const { jti: tokenId, sub: subject, clientId, exp: until } = claims
  const names: readonly string[] = [caller.facts.id, caller.facts.clientId]
  if (!names.includes(subject) && !names.includes(clientId)) {
    throw new IdentityError("no-identity", "the token was issued to another client", { reason: "token-not-yours" })
  }
  const common = { at: deps.clock.now(), actor: actorOfPrincipal(caller), requestId }
  const audit = { ...common, type: "token.revoked" as const, tokenId, subject, clientId }
  await deps.revocations.revoke({ kind: "token", tokenId, until }, audit)
}

async function revokeSubject(deps: RevokeDeps, text: string, caller: Principal, requestId: string): Promise<void> {
  const subject = refuseAs("parameter-invalid", () => parseWorkloadId(text))
  if (!deps.revokers().has(caller.facts.id)) {
    throw new IdentityError("policy-denied", "this client may not revoke the tokens of a subject", {
      reason: "revoker-unknown",
    })
  }
  const at = deps.clock.now()
  const audit = {
    at,
    actor: actorOfPrincipal(caller),
    requestId,
    type: "subject.revoked" as const,
    subject,
    issuedUntil: at,
  }
  await deps.revocations.revoke({ kind: "subject", subject, issuedUntil: at, until: at + LONGEST_LIFE }, audit)
}

/** `undefined` for what nobody accepts anyway. */
async function liveClaims(deps: RevokeDeps, token: string): Promise<AccessTokenClaims | undefined> {
  try {
    await deps.proveAccessToken(token, () => true)
    return parseAccessToken(token).claims
  } catch (thrown) {
    const error = toIdentityError(thrown)
    if (error.code === "unauthenticated") return undefined
    throw error
  }
}

/** Nobody shall believe that a token is revoked which is good on. @see REV-05 */
async function refuseSvid({ proveJwtSvid }: RevokeDeps, token: string): Promise<void> {
  const isSvid = await proveJwtSvid(token, () => true).then(
    () => true,
    (thrown: unknown) => {
      const error = toIdentityError(thrown)
      if (error.code === "unauthenticated") return false
      throw error
    },
  )
  if (isSvid) throw requestRefusal("revocation-type-unsupported")
}

/**
 * No configuration lets a token of ours live longer, so that one which was made before a restart with shorter lives stays revoked;
 * those of other trust domains are taken to live no longer. @see GCP-02 REV-02
 */
const LONGEST_LIFE: Seconds = 24 * 3600
