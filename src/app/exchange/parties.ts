import { MAX_ACTORS } from "../../core/jose/access-token.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import type { RequestedGrant } from "../../core/oauth/token-request.ts"
import type { Principal } from "../../core/policy/principal.ts"
import type { TokenQuestion } from "../../core/policy/token-question.ts"
import { type SpiffeId, type TrustDomain, trustDomainId, trustDomainOf } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import type { ReplayLog } from "../../ports/replay-log.ts"
import type { ProvenToken } from "../attest/proven-token.ts"
import type { AuthenticatedClient } from "./authenticate-client.ts"
import { asGrantError, type ProveSubject, type RequestProof } from "./prove-subject.ts"

/** Who takes part in a token request, all proven. */
export interface Parties {
  readonly client: Principal
  readonly subject: Principal
  /** Who will act in the new token, newest first. */
  readonly actors: readonly SpiffeId[]
  readonly mode: TokenQuestion["mode"]
  readonly subjectScopes: readonly string[] | undefined
  /** When what the new token is made from expires; `undefined`: it is made from the client's own credential. @see TX-13 SCA-09 */
  readonly subjectExpiresAt: Instant | undefined
  /** Of an assertion that is good once: nothing may be given before this resolves. @throws IdentityError as {@link FindParties} @see JB-06 RPL-07 */
  readonly spend?: () => Promise<void>
}

export interface FindPartiesDeps {
  readonly proveSubject: ProveSubject
  readonly replayLog: ReplayLog
  /** Our own name, as `may_act` may say it for identities of our trust domain. */
  readonly issuer: string
  readonly trustDomain: TrustDomain
}

/** @throws IdentityError when a party is missing, not proven, or must not act @see TX-05 TX-06 TX-12 JB-02 JB-03 */
export type FindParties = (
  grant: RequestedGrant,
  client: AuthenticatedClient | undefined,
  proof: RequestProof,
  signal: AbortSignal,
) => Promise<Parties>

export function makeFindParties(deps: FindPartiesDeps): FindParties {
  return (grant, client, proof, signal) => {
    switch (grant.type) {
      case "client_credentials":
        return partiesOfClient(client)
      case "jwt-bearer":
        return partiesOfAssertion(deps, grant.assertion, client, proof, signal)
      case "token-exchange":
        return partiesOfExchange(deps, grant, client, proof, signal)
      default:
        return grant satisfies never
    }
  }
}

async function partiesOfClient(client: AuthenticatedClient | undefined): Promise<Parties> {
  if (client === undefined) throw requestRefusal("client-authentication-missing")
  const { principal } = client
  return {
    client: principal,
    subject: principal,
    actors: [],
    mode: "self",
    subjectScopes: undefined,
    subjectExpiresAt: undefined,
  }
}

async function partiesOfAssertion(
  deps: FindPartiesDeps,
  assertion: string,
  client: AuthenticatedClient | undefined,
  proof: RequestProof,
  signal: AbortSignal,
): Promise<Parties> {
  const code = "grant-expired-or-replayed"
  const subject = await asGrantError(code, deps.proveSubject({ text: assertion, type: "jwt" }, proof, signal))
  if (!subject.forUsAlone) await asGrantError(code, Promise.reject(requestRefusal("token-audience-mismatch")))
  const parties = await asGrantError(code, together(deps, client, subject, undefined))
  const { singleUse } = subject
  if (singleUse === undefined) return parties
  const claim = { use: "assertion-grant", ...singleUse, until: subject.principal.facts.expiresAt } as const
  const spend = async () => {
    const outcome = await deps.replayLog.claim(claim)
    if (outcome === "replayed") await asGrantError(code, Promise.reject(requestRefusal("token-replayed")))
  }
  return { ...parties, spend }
}

async function partiesOfExchange(
  deps: FindPartiesDeps,
  grant: RequestedGrant & { type: "token-exchange" },
  client: AuthenticatedClient | undefined,
  proof: RequestProof,
  signal: AbortSignal,
): Promise<Parties> {
  const { proveSubject } = deps
  const subject = await asGrantError("malformed", proveSubject(grant.subject, proof, signal))
  const actor =
    grant.actor === undefined ? undefined : await asGrantError("malformed", proveSubject(grant.actor, proof, signal))
  return asGrantError("malformed", together(deps, client, subject, actor))
}

/**
 * Put the parties together. A caller that did not authenticate is whom its token is about, if that token was made for us alone;
 * with an actor token, it is the actor. Who acts already stays in the chain whether or not there is a new actor, so that no route
 * loses the trace, and `may_act` holds on every one of them. @see TX-05 TX-12 TX-18
 */
async function together(
  deps: FindPartiesDeps,
  authenticated: AuthenticatedClient | undefined,
  subject: ProvenToken,
  actor: ProvenToken | undefined,
): Promise<Parties> {
  const credential = actor ?? subject
  if (authenticated === undefined && !credential.forUsAlone) throw requestRefusal("client-authentication-missing")
  if (actor !== undefined && actor.actors.length > 0) throw requestRefusal("delegation-too-deep")
  const client = authenticated?.principal ?? credential.principal
  const { mayAct } = subject
  const acting = actor?.principal ?? authenticated?.principal
  if (mayAct !== undefined && !mayActMatches(mayAct, acting, deps)) throw requestRefusal("may-act-mismatch")
  const actors = actor === undefined ? subject.actors : [actor.principal.facts.id, ...subject.actors]
  if (actors.length > MAX_ACTORS) throw requestRefusal("delegation-too-deep")
  const isSelf = client.facts.id === subject.principal.facts.id
  return {
    client,
    subject: subject.principal,
    actors,
    mode: actors.length > 0 ? "delegation" : isSelf ? "self" : "impersonation",
    subjectScopes: subject.scopes,
    subjectExpiresAt: subject.principal.facts.expiresAt,
  }
}

/**
 * Who acts is known by its SPIFFE ID, however it was proven: `iss` names the trust domain of that ID by the trust domain's own ID,
 * or us. @see TX-06 SCA-09
 */
function mayActMatches(
  { sub, iss }: NonNullable<ProvenToken["mayAct"]>,
  acting: Principal | undefined,
  { issuer, trustDomain }: FindPartiesDeps,
): boolean {
  if (acting === undefined || acting.facts.id !== sub) return false
  const domain = trustDomainOf(acting.facts.id)
  return iss === undefined || iss === trustDomainId(domain) || (domain === trustDomain && iss === issuer)
}
