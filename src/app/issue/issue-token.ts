import type { AuditEvent } from "../../core/audit/event.ts"
import type { BanSubject } from "../../core/ban/ban-index.ts"
import { type Confirmation, encodeAccessTokenInput } from "../../core/jose/access-token.ts"
import { encodeJwtSvidInput, sealJwtSvid } from "../../core/jose/jwt-svid.ts"
import { makeTokenId } from "../../core/jose/token-id.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import type { RequestedProduct } from "../../core/oauth/token-request.ts"
import type { Principal } from "../../core/policy/principal.ts"
import type { TokenGrant, TokenQuestion } from "../../core/policy/token-question.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import { encodePem } from "../../core/x509/pem.ts"
import type { Clock } from "../../ports/clock.ts"
import type { SignIntent } from "../../ports/intent-signer.ts"
import type { Intent, Requester } from "../../ports/issuance-log.ts"
import type { Random } from "../../ports/random.ts"
import type { ActiveJwtKey } from "../authority/jwt-key-set.ts"
import { subjectOfParties } from "../ban/banned.ts"
import type { Certify } from "./certify.ts"
import type { IssueEvents } from "./events.ts"
import { issueAcrossEmergency } from "./hear-of-emergencies.ts"
import { type GrantedIntent, requesterOf } from "./intent.ts"

export interface IssueTokenDeps {
  /** Waits while it is being replaced. @throws IdentityError `not-ready` when no key is active @see AUT-23 */
  readonly keyFor: (algorithm: TokenGrant["algorithm"], signal: AbortSignal) => ActiveJwtKey | Promise<ActiveJwtKey>
  readonly certify: Certify
  readonly signIntent: SignIntent
  readonly clock: Clock
  readonly random: Random
  readonly events: IssueEvents
  /** `iss`. */
  readonly issuer: string
  readonly epoch: () => number
  /** Whether a token of one of these that was issued then is revoked. */
  readonly isRevoked: (token: { tokenId: undefined; subjects: readonly string[]; issuedAt: Instant }) => boolean
}

/** What the rules granted, with all that goes into it. */
export interface TokenOrder {
  readonly question: TokenQuestion
  readonly grant: TokenGrant
  readonly product: RequestedProduct
  readonly client: Principal
  readonly subject: Principal
  /** When it was seen that nobody of them was revoked. */
  readonly provenAt: Instant
  readonly confirmation: Confirmation | undefined
  /** It must not live longer than this; `undefined`: only the grant bounds it. @see TX-13 MT-04 */
  readonly notAfter: Instant | undefined
  /** Unknown parameters of the request. */
  readonly ignored: readonly string[]
  readonly requestId: string
}

export interface IssuedToken {
  /** The token; of an X.509-SVID its chain as PEM, leaf first. */
  readonly text: string
  readonly expiresIn: Seconds
}

/** Steps 4 to 8 of the issuance cycle for whatever the token endpoint gives. @see AT-01 AT-02 TX-13 ISS-04 */
export type IssueToken = (order: TokenOrder, signal: AbortSignal) => Promise<IssuedToken>

export function makeIssueToken(deps: IssueTokenDeps): IssueToken {
  return async (order, signal) => {
    if (order.product.kind === "x509-svid") return issueCertificate(deps, order, order.product.csr, signal)
    const issued = await issueAcrossEmergency(() => issueJws(deps, order, signal))
    if (order.product.kind === "jwt-svid") deps.events.jwtIssued(order.requestId)
    else deps.events.accessTokenIssued(order.requestId)
    return issued
  }
}

async function issueJws(deps: IssueTokenDeps, order: TokenOrder, signal: AbortSignal): Promise<IssuedToken> {
  const epoch = deps.epoch() // no later than the key @see ROT-76
  const key = await deps.keyFor(order.grant.algorithm, signal) // it may have to wait, so all else is looked at after it
  refuseRevokedSince(deps, order)
  const now = deps.clock.now()
  const notAfter = endOf(order, now)
  const stamp = { iat: now, exp: notAfter, jti: makeTokenId(deps.random, deps.clock.monotonic()) }
  const input = order.product.kind === "jwt-svid" ? svidInput : accessTokenInput
  const text = await sign(deps, order, key, input(deps, order, key, stamp), { ...stamp, epoch })
  return { text, expiresIn: notAfter - now }
}

/** Whoever was revoked while a key was waited for gets nothing that is younger than the revocation. @see REV-04 */
function refuseRevokedSince({ isRevoked }: IssueTokenDeps, { question, client, subject, provenAt }: TokenOrder): void {
  const subjects = [subject.facts.id, client.facts.id, client.facts.clientId, ...question.actors]
  if (isRevoked({ tokenId: undefined, subjects, issuedAt: provenAt })) throw requestRefusal("token-revoked")
}

interface Stamp {
  readonly iat: Instant
  readonly exp: Instant
  readonly jti: string
}

/** @throws IdentityError when nothing remains */
function endOf({ question, grant, notAfter = Number.POSITIVE_INFINITY }: TokenOrder, now: Instant): Instant {
  const end = Math.min(now + Math.min(question.ttl ?? grant.ttl, grant.ttl), notAfter)
  if (end <= now) throw requestRefusal("token-expired")
  return end
}

function svidInput({ issuer }: IssueTokenDeps, { question }: TokenOrder, key: ActiveJwtKey, stamp: Stamp): string {
  const { subject: sub, audiences: aud } = question
  return encodeJwtSvidInput(key.jwtSvidHeader, { sub, aud, iss: issuer, ...stamp })
}

function accessTokenInput({ issuer }: IssueTokenDeps, order: TokenOrder, key: ActiveJwtKey, stamp: Stamp): string {
  const { question, grant, client, confirmation } = order
  return encodeAccessTokenInput(key.accessTokenHeader, {
    iss: issuer,
    sub: question.subject,
    clientId: client.facts.clientId,
    aud: question.audiences,
    scopes: grant.scopes,
    actors: question.actors,
    confirmation,
    ...stamp,
  })
}

async function sign(
  deps: IssueTokenDeps,
  order: TokenOrder,
  key: ActiveJwtKey,
  input: string,
  { iat, exp, jti, epoch }: Stamp & { readonly epoch: number },
): Promise<string> {
  const intent = {
    serial: jti,
    kind: "jwt" as const,
    authorityId: key.kid,
    epoch,
    spiffeId: order.question.subject,
    hint: "",
    tbs: Buffer.from(input),
    notBefore: iat,
    notAfter: exp,
    createdAt: iat,
    requester: requesterFor(order),
    rule: ruleOf(order.grant),
    idempotencyKey: undefined,
  }
  const decision = grantedToken(order, intent)
  const { signer } = key
  const subject = subjectFor(order)
  const { signature } = await deps.signIntent({ intent, decision, reuseSince: iat, subject, signer, form: "p1363" })
  return sealJwtSvid(input, signature)
}

async function issueCertificate(
  deps: IssueTokenDeps,
  order: TokenOrder,
  csr: Uint8Array,
  signal: AbortSignal,
): Promise<IssuedToken> {
  const now = deps.clock.now()
  const notAfter = endOf(order, now)
  const certificate = {
    key: { kind: "csr", der: csr },
    id: order.question.subject,
    hint: "",
    dnsNames: [],
    rule: ruleOf(order.grant),
    ttl: notAfter - now,
    wantedTtl: order.question.ttl,
    evidenceExpiresAt: notAfter,
    notAfter,
    requester: requesterFor(order),
    subject: subjectFor(order),
    requestId: order.requestId,
    decision: (intent: Intent) => grantedToken(order, intent),
  } as const
  const svid = await deps.certify(certificate, signal)
  const text = svid.chain.map((der) => encodePem("CERTIFICATE", der)).join("")
  return { text, expiresIn: svid.notAfter - deps.clock.now() }
}

function subjectFor({ client, subject, question }: TokenOrder): BanSubject {
  return subjectOfParties([client, subject], question.actors)
}

/** Whom the log names: the pod whose token it was made from, if there is one. */
function requesterFor({ client, subject }: TokenOrder): Requester {
  const { attested } = subject.facts
  if (attested !== undefined) return requesterOf(attested)
  const digest = client.facts.evidenceDigest
  const pod = { cluster: "", namespace: "", serviceAccount: "", pod: "", podUid: "", node: "" }
  return { ...pod, evidenceDigest: digest }
}

function ruleOf({ exports, accepts }: TokenGrant): string {
  return `${exports} > ${accepts}`
}

function grantedToken(order: TokenOrder, { serial, authorityId, epoch, createdAt }: GrantedIntent): AuditEvent {
  const { question, grant, client, subject } = order
  return {
    type: "token.granted",
    at: createdAt,
    actor: actorOfPrincipal(client),
    requestId: order.requestId,
    // The others in alphabetical order, as the log has them.
    accepts: grant.accepts,
    actors: question.actors,
    audience: question.audiences,
    authority: authorityId,
    binding: question.binding,
    clientId: client.facts.clientId,
    degraded: [client, subject].some(({ facts }) => facts.attested?.claims.degraded === true),
    epoch,
    exports: grant.exports,
    grant: question.grant,
    ignored: order.ignored,
    product: question.product,
    proofs: [client.facts.proof, subject.facts.proof],
    revision: grant.revision,
    scope: grant.scopes,
    serial,
    subject: question.subject,
  }
}

/** Names who came to the token endpoint in audit records: `<kind of proof>:<source>/<identity>`. */
export function actorOfPrincipal({ facts }: Principal): string {
  return `${facts.proof}:${facts.source}/${facts.id}`
}
