import type { AuditEvent } from "../../core/audit/event.ts"
import { toIdentityError } from "../../core/errors.ts"
import {
  type AccessTokenClaims,
  encodeActors,
  encodeConfirmation,
  parseAccessToken,
} from "../../core/jose/access-token.ts"
import { notBeforeOf } from "../../core/jose/registered-claims.ts"
import type { JsonObject } from "../../core/json.ts"
import { findClientCredential } from "../../core/oauth/client-credential.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import type { Principal } from "../../core/policy/principal.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"
import type { ProveAccessToken } from "../attest/prove-access-token.ts"
import type { BanView } from "../ban/ban-view.ts"
import { refuseBanned, subjectOfParties } from "../ban/banned.ts"
import { actorOfPrincipal } from "../issue/issue-token.ts"
import type { SignIntrospection } from "../issue/sign-introspection.ts"
import type { OAuthCall } from "./answer-token-request.ts"
import type { AuthenticateClient } from "./authenticate-client.ts"

/** What is said about a token: `active`, and when it is, its claims. @see INT-01 INT-02 */
export type Introspection = JsonObject & { readonly active: boolean }

export interface IntrospectDeps {
  readonly authenticate: AuthenticateClient
  readonly proveAccessToken: ProveAccessToken
  /** Whether access tokens for `audience` are meant for `holder`. */
  readonly holdsAudience: (holder: SpiffeId, audience: string) => boolean
  readonly sign: SignIntrospection
  readonly bans: Pick<BanView, "match">
  readonly audit: AuditLog
  readonly clock: Clock
}

/**
 * Tell an authenticated caller about an access token that is for it, of it, or about it. Anything else is not active, whatever
 * is wrong with it. @throws IdentityError `unauthenticated` when the caller is not @see INT-01 INT-02 TX-14
 */
export type Introspect = (call: OAuthCall, form: "json" | "jwt", signal: AbortSignal) => Promise<Introspected>

export type Introspected =
  | { readonly form: "json"; readonly answer: Introspection }
  /** JWS compact serialization. @see INT-03 */
  | { readonly form: "jwt"; readonly text: string }

export function makeIntrospect(deps: IntrospectDeps): Introspect {
  return async (call, form, signal) => {
    const { authorization, chain, requestId } = call
    const token = call.form.one("token")
    if (token === undefined) throw requestRefusal("parameter-missing")
    const credential = findClientCredential({ form: call.form, authorization, hasCertificate: chain.length > 0 })
    const client = await deps.authenticate(credential, chain, signal)
    if (client === undefined) throw requestRefusal("client-authentication-missing")
    const caller = client.principal
    refuseBanned(deps.bans, subjectOfParties([caller]))
    const claims = await activeClaims(deps, token, caller)
    const event: AuditEvent = {
      type: "token.introspected",
      at: deps.clock.now(),
      actor: actorOfPrincipal(caller),
      requestId,
      tokenId: claims?.jti ?? "",
      active: claims !== undefined,
    }
    const answer = claims === undefined ? { active: false } : describe(claims)
    if (form === "jwt") return { form, text: await deps.sign(answer, caller, event, signal) }
    await deps.audit.append(event)
    return { form, answer }
  }
}

/** `undefined` for a token that is not active for this caller. */
async function activeClaims(
  deps: IntrospectDeps,
  token: string,
  { facts }: Principal,
): Promise<AccessTokenClaims | undefined> {
  const concerns = ({ sub, clientId, aud }: AccessTokenClaims) =>
    [facts.id, facts.clientId].some((name) => name === sub || name === clientId) ||
    aud.some((audience) => deps.holdsAudience(facts.id, audience))
  try {
    await deps.proveAccessToken(token, concerns)
    return parseAccessToken(token).claims
  } catch (thrown) {
    const error = toIdentityError(thrown)
    if (error.code === "unauthenticated") return undefined
    throw error
  }
}

function describe(claims: AccessTokenClaims): Introspection {
  const { iss, sub, clientId, aud, iat, exp, jti, scopes, actors, confirmation } = claims
  const act = encodeActors(actors)
  const cnf = encodeConfirmation(confirmation)
  return {
    active: true,
    iss,
    sub,
    client_id: clientId,
    aud: [...aud],
    iat,
    nbf: notBeforeOf(claims),
    exp,
    jti,
    token_type: confirmation?.kind === "dpop" ? "DPoP" : "Bearer",
    ...(scopes.length === 0 ? {} : { scope: scopes.join(" ") }),
    ...(act === undefined ? {} : { act }),
    ...(cnf === undefined ? {} : { cnf }),
  }
}
