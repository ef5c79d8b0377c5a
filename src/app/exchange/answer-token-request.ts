import type { AuditEvent } from "../../core/audit/event.ts"
import { type ErrorCode, IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Confirmation } from "../../core/jose/access-token.ts"
import { findClientCredential } from "../../core/oauth/client-credential.ts"
import type { Form } from "../../core/oauth/form.ts"
import { parseTokenRequest, type TokenRequest } from "../../core/oauth/token-request.ts"
import { TOKEN_TYPES } from "../../core/oauth/urns.ts"
import type { Principal } from "../../core/policy/principal.ts"
import type {
  TokenBinding,
  TokenDecision,
  TokenGrant,
  TokenProduct,
  TokenQuestion,
} from "../../core/policy/token-question.ts"
import { type TrustDomain, trustDomainId } from "../../core/spiffe/id.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"
import type { BanView } from "../ban/ban-view.ts"
import { refuseBanned, subjectOfParties } from "../ban/banned.ts"
import type { ClockGuard } from "../issue/clock-guard.ts"
import type { IssueEvents } from "../issue/events.ts"
import { actorOfPrincipal, type IssueToken } from "../issue/issue-token.ts"
import type { TakeRate } from "../issue/rate-limit.ts"
import type { AuthenticateClient, AuthenticatedClient } from "./authenticate-client.ts"
import type { FindParties, Parties } from "./parties.ts"
import type { ProveDpop } from "./prove-dpop.ts"

/** What a door hands over of a request to an OAuth endpoint. */
export interface OAuthCall {
  readonly form: Form
  /** The `Authorization` header. */
  readonly authorization: string | undefined
  /** The values of all `DPoP` headers. */
  readonly dpop: readonly string[]
  /** The client certificate of the handshake with its chain, DER, leaf first; empty for none. */
  readonly chain: readonly Uint8Array[]
  readonly requestId: string
}

/** A successful answer of `/token`. @see CC-04 TX-03 */
export interface TokenAnswer {
  readonly access_token: string
  readonly issued_token_type: string
  readonly token_type: "Bearer" | "DPoP" | "N_A"
  readonly expires_in: Seconds
  readonly scope?: string
}

export interface AnswerTokenDeps {
  readonly authenticate: AuthenticateClient
  readonly findParties: FindParties
  readonly proveDpop: ProveDpop
  readonly decide: (question: TokenQuestion) => TokenDecision
  readonly issue: IssueToken
  readonly rateLimit: TakeRate
  readonly bans: Pick<BanView, "match">
  readonly audit: AuditLog
  readonly guard: ClockGuard
  readonly clock: Clock
  readonly events: IssueEvents
  readonly trustDomain: TrustDomain
  /** Of `/token`, as clients write it in `htu`. */
  readonly endpoint: string
}

/** The one way through which every grant goes: proof, parties, rules, issuance. @see TX-16 */
export type AnswerTokenRequest = (call: OAuthCall, signal: AbortSignal) => Promise<TokenAnswer>

export function makeAnswerTokenRequest(deps: AnswerTokenDeps): AnswerTokenRequest {
  return async (call, signal) => {
    let asked: Asked | undefined
    try {
      deps.guard.demand()
      const request = parseTokenRequest(call.form, trustDomainId(deps.trustDomain))
      const proven = await prove(deps, call, request, signal)
      const question = questionOf(request, proven)
      const { client, subject, actors } = proven.parties
      asked = { question, client }
      refuseBanned(deps.bans, subjectOfParties([client, subject], actors))
      const grant = granted(deps.decide(question))
      return await issue(deps, call, request, proven, question, grant, signal)
    } catch (thrown) {
      const error = toIdentityError(thrown)
      deps.events.refused("token", call.requestId, error)
      if (asked !== undefined && DECIDED.has(error.code)) {
        await deps.audit.append(refusedToken(asked, error, call.requestId, deps.clock.now()))
      }
      throw error
    }
  }
}

interface Asked {
  readonly question: TokenQuestion
  readonly client: Principal
}

interface Proven {
  readonly parties: Parties
  readonly confirmation: Confirmation | undefined
  /** When the certificate that the token is bound to expires. @see MT-04 */
  readonly certificateExpiresAt: Instant | undefined
  readonly provenAt: Instant
}

async function prove(
  deps: AnswerTokenDeps,
  call: OAuthCall,
  request: TokenRequest,
  signal: AbortSignal,
): Promise<Proven> {
  const { form, authorization, chain } = call
  const credential = findClientCredential({ form, authorization, hasCertificate: chain.length > 0 })
  // Before the client, whose assertion may be good once: it comes again with the nonce that it is told.
  const dpop = await deps.proveDpop(call.dpop, "POST", deps.endpoint, undefined)
  const client = await deps.authenticate(credential, chain, signal)
  const proof = { caller: client?.principal.facts.id, dpop: dpop?.jkt, x5t: client?.x5t }
  const parties = await deps.findParties(request.grant, client, proof, signal)
  if (credential.kind === "none" && credential.clientId !== undefined) requireName(credential.clientId, parties)
  // Who authenticated was counted then. What is good once is written down, so that comes last. @see RPL-07 DP-10
  if (client === undefined) deps.rateLimit(parties.client.facts.id, 1)
  await parties.spend?.()
  await dpop?.spend()
  const confirmation = confirmationOf(dpop?.jkt, client)
  const bound = confirmation?.kind === "mtls" ? client?.principal.facts.expiresAt : undefined
  return { parties, confirmation, certificateExpiresAt: bound, provenAt: deps.clock.now() }
}

/** `client_id` beside a token that speaks for itself must name whom it is about. */
function requireName(clientId: string, { client }: Parties): void {
  if (clientId === client.facts.clientId) return
  throw new IdentityError("unauthenticated", "client_id is not the client that the credential is of", {
    reason: "client-id-mismatch",
  })
}

/** A DPoP key goes before the certificate: the client asked for it in so many words. */
function confirmationOf(jkt: string | undefined, client: AuthenticatedClient | undefined): Confirmation | undefined {
  if (jkt !== undefined) return { kind: "dpop", jkt }
  return client?.x5t === undefined ? undefined : { kind: "mtls", x5t: client.x5t }
}

function questionOf(request: TokenRequest, { parties, confirmation }: Proven): TokenQuestion {
  return {
    grant: request.grant.type,
    product: request.product.kind,
    client: parties.client.facts.id,
    subject: parties.subject.facts.id,
    actors: parties.actors,
    mode: parties.mode,
    audiences: request.audiences,
    scopes: request.scopes,
    subjectScopes: parties.subjectScopes,
    ttl: undefined,
    // Only access tokens say to which key they are bound.
    binding: request.product.kind === "access-token" ? (confirmation?.kind ?? "none") : ("none" satisfies TokenBinding),
  }
}

function granted(decision: TokenDecision): TokenGrant {
  if (decision.kind === "granted") return decision
  throw new IdentityError(decision.code, decision.message, { reason: decision.reason })
}

async function issue(
  deps: AnswerTokenDeps,
  call: OAuthCall,
  request: TokenRequest,
  { parties, confirmation, certificateExpiresAt, provenAt }: Proven,
  question: TokenQuestion,
  grant: TokenGrant,
  signal: AbortSignal,
): Promise<TokenAnswer> {
  const subjectEnd = grant.mayOutliveSubject ? undefined : parties.subjectExpiresAt
  const bindingEnd = question.binding === "mtls" ? certificateExpiresAt : undefined
  const ends = [subjectEnd, bindingEnd].filter((end) => end !== undefined)
  const order = {
    question,
    grant,
    product: request.product,
    client: parties.client,
    subject: parties.subject,
    provenAt,
    confirmation,
    notAfter: ends.length === 0 ? undefined : Math.min(...ends),
    ignored: request.ignored,
    requestId: call.requestId,
  }
  const token = await deps.issue(order, signal)
  const isAccessToken = question.product === "access-token"
  return {
    access_token: token.text,
    issued_token_type: ISSUED_TYPE[question.product],
    token_type: isAccessToken ? (confirmation?.kind === "dpop" ? "DPoP" : "Bearer") : "N_A",
    expires_in: token.expiresIn,
    ...(isAccessToken && grant.scopes.length > 0 ? { scope: grant.scopes.join(" ") } : {}),
  }
}

function refusedToken({ question, client }: Asked, error: IdentityError, requestId: string, at: Instant): AuditEvent {
  return {
    type: "token.refused",
    at,
    actor: actorOfPrincipal(client),
    requestId,
    grant: question.grant,
    subject: question.subject,
    clientId: client.facts.clientId,
    audience: question.audiences,
    code: error.code,
    reason: error.reason ?? error.code,
  }
}

const ISSUED_TYPE = {
  "access-token": TOKEN_TYPES.accessToken,
  "jwt-svid": TOKEN_TYPES.jwt,
  "x509-svid": TOKEN_TYPES.x509Svid,
} as const satisfies Record<TokenProduct, string>
/** Decisions about parties that are proven; nothing else is audited. @see AUD-03 */
const DECIDED: ReadonlySet<ErrorCode> = new Set(["policy-denied", "audience-denied", "scope-denied", "no-identity"])
