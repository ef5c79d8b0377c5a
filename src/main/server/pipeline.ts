import { createHash } from "node:crypto"
import { processKeys } from "../../adapters/process-keys/process-keys.ts"
import { holdingsAtStart } from "../../adapters/sqlite/holdings-at-start.ts"
import { type AttestToken, makeAttestToken } from "../../app/attest/attest-token.ts"
import type { RecordRefusals } from "../../app/audit/record-refusals.ts"
import { type IssuingAuthorities, openIssuingAuthorities } from "../../app/authority/issuing-authorities.ts"
import { type JwtKeySet, openJwtKeySet } from "../../app/authority/jwt-key-set.ts"
import { openTrustState, type TrustState } from "../../app/authority/trust-state.ts"
import { type BanView, openBanView } from "../../app/ban/ban-view.ts"
import { type DenyToken, makeDenyToken } from "../../app/ban/deny-token.ts"
import { guardBans } from "../../app/ban/guard-bans.ts"
import { type KeyHolders, openKeyHolders } from "../../app/ban/key-holders.ts"
import { LiveStreams } from "../../app/ban/live-streams.ts"
import type { ConsumerBook } from "../../app/deliver/consumer-book.ts"
import { Subscribers } from "../../app/deliver/consumers.ts"
import { makeWatchEntitlements, type WatchEntitlements } from "../../app/deliver/entitlements.ts"
import { openConsumerBook } from "../../app/deliver/keep-consumers.ts"
import { RenewOrders } from "../../app/deliver/renew-orders.ts"
import { shareChanges } from "../../app/deliver/share-changes.ts"
import { actorOf, makeAuthorize } from "../../app/issue/authorize.ts"
import { type Certify, makeCertify } from "../../app/issue/certify.ts"
import { type ClockGuard, makeClockGuard } from "../../app/issue/clock-guard.ts"
import { hearOfEmergencies } from "../../app/issue/hear-of-emergencies.ts"
import { requesterOf } from "../../app/issue/intent.ts"
import { makeIssueJwt } from "../../app/issue/issue-jwt.ts"
import { makeIssueX509 } from "../../app/issue/issue-x509.ts"
import { makeRateLimit, type TakeRate } from "../../app/issue/rate-limit.ts"
import { rememberDecisions } from "../../app/issue/remembered-decisions.ts"
import type { IssueJwt, IssueX509 } from "../../app/issue/requests.ts"
import { type Holder, holderOf } from "../../core/authority/holder.ts"
import type { JwtKeyAlgorithm } from "../../core/authority/jwt-keys.ts"
import { makeChangeSignal } from "../../core/change-signal.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Decision } from "../../core/policy/grant.ts"
import type { Clock } from "../../ports/clock.ts"
import type { SignIntent } from "../../ports/intent-signer.ts"
import type { EphemeralKeys } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { ServerConfig } from "../config/server-config.ts"
import type { ServerEvents } from "../server-events.ts"
import type { LiveConfig } from "./live-config.ts"
import type { ServerState } from "./state.ts"

export interface PipelineDeps {
  readonly state: ServerState
  readonly live: () => LiveConfig
  readonly clock: Clock
  readonly random: Random
  readonly events: ServerEvents
  readonly refusals: Pick<RecordRefusals, "stream">
}

/** What doors can ask for. */
export interface Pipeline {
  readonly attest: AttestToken
  readonly decide: (attested: Attested) => Decision
  readonly issueX509: IssueX509
  readonly issueJwt: IssueJwt
  readonly certify: Certify
  /** For nobody who is banned. */
  readonly signIntent: SignIntent
  readonly bans: BanView
  /** To be run, so that it asks again. */
  readonly keyHolders: KeyHolders
  readonly liveStreams: LiveStreams
  readonly denyToken: DenyToken
  readonly rateLimit: TakeRate
  readonly watchEntitlements: WatchEntitlements
  readonly holderOf: (token: string, signal: AbortSignal) => Promise<Holder>
  readonly subscribers: Subscribers
  /** Who must be waited for. To be kept by somebody. */
  readonly consumers: ConsumerBook
  readonly renewals: RenewOrders
  readonly trust: TrustState
  readonly issuing: IssuingAuthorities
  readonly jwtKeys: JwtKeySet
  readonly ephemeral: EphemeralKeys
  readonly serialPrefix: number
  readonly guard: ClockGuard
  /** To be called when {@link PipelineDeps.live} yields something new. */
  rulesChanged(): void
}

/** Put the pipeline together over the state of a trust domain. */
export async function openPipeline(deps: PipelineDeps): Promise<Pipeline> {
  const { state, live, clock, random, events, refusals } = deps
  const { config } = live()
  const { store } = state
  const trust = await openTrustState(state.journal)
  const serialPrefix = SERIAL_PREFIX
  const guard = makeClockGuard(clock)
  const jwtKeys = await openJwtKeySet({
    trust,
    keys: state.keys,
    algorithms: jwtAlgorithms(config),
    audit: store.auditLog,
    clock,
    guard,
    random,
  })
  const ephemeral: EphemeralKeys = {
    makeSigner: state.makeSigner,
    makeWorkloadKey: (algorithm) => processKeys.makeWorkloadKey(algorithm),
  }
  const issuing = await openIssuingAuthorities({
    trust,
    keys: state.keys,
    ephemeral,
    journal: state.journal,
    audit: store.auditLog,
    clock,
    guard,
    random,
    events: events.authority,
    plan: {
      algorithm: "ec-p256",
      ttl: config.issuing.ttl,
      backdate: config.x509.backdate,
      subject: { commonName: "Assay issuing authority", organization: config.root.organization },
      serialPrefix,
    },
  })
  const attest = makeAttestToken({
    clusters: () => live().clusters,
    clock,
    telemetry: events.attest,
    liveSvid: (pod, now) => store.holdings.holdsCertificate(pod, now),
  })
  const holdings = holdingsAtStart(config.storage.sqlite)
  const consumers = await openConsumerBook({ clock, consumers: store.consumerLog, holdings })
  const decide = rememberDecisions(() => live().config.rules)
  const rateLimit = makeRateLimit(
    () => ratesOf(live().config),
    () => clock.monotonic(),
  )
  const audit = store.auditLog
  const bans = await openBanView({
    log: store.banLog,
    clock,
    steady: () => guard.steady(),
    onReadFailed: (error) => events.bans.readFailed(error),
  })
  const keyHolders = await openKeyHolders({ bans, holdings: store.holdings, clock, events: events.bans }, holdings)
  const liveStreams = new LiveStreams(bans, { clock, events: events.bans, keyHolders })
  const sign = hearOfEmergencies(state.signIntent, trust)
  const signIntent = guardBans({ sign, bans, audit, clock, events: events.issue })
  const authorize = makeAuthorize({ attest, decide, rateLimit, bans, audit, clock, guard, events: events.issue })
  const common = { authorize, signIntent, clock, random, events: events.issue }
  const certify = makeCertify({
    ...common,
    issuing,
    verify: state.crypto.verify,
    journal: state.journal,
    profile: {
      jitter: config.x509.ttlJitter,
      backdate: config.x509.backdate,
      csrBytes: () => live().config.limits.csrSize,
      serialPrefix,
    },
  })
  const rules = makeChangeSignal()
  const renewals = new RenewOrders()
  return {
    attest,
    decide,
    trust,
    issuing,
    jwtKeys,
    serialPrefix,
    guard,
    ephemeral,
    certify,
    signIntent,
    bans,
    keyHolders,
    liveStreams,
    denyToken: makeDenyToken({ bans, issuanceLog: store.issuanceLog }),
    rateLimit,
    issueX509: timed(
      clock,
      events,
      "x509",
      makeIssueX509({
        authorize,
        certify,
        events: events.issue,
        hasOneAgent: (name) => live().config.clusters.some((one) => one.name === name && one.oneAgentPerPod),
        issued: (holder, notAfter, quoted, proven) => {
          const { epoch } = trust.snapshot()
          // Nobody holds what was not published.
          consumers.issued(holder, notAfter, (quoted ?? 0) > epoch ? 0 : quoted, proven)
          renewals.renewed(holder, quoted === undefined || quoted === epoch)
        },
      }),
    ),
    issueJwt: timed(
      clock,
      events,
      "jwt",
      makeIssueJwt({
        ...common,
        keys: jwtKeys,
        algorithmFor: (audience) => {
          const { rsaAudiences } = live().config.rules.tokens
          return audience.some((one) => rsaAudiences.has(one)) ? "RS256" : undefined
        },
        issuer: config.jwt.issuer ?? config.oauth?.issuer,
        epoch: () => trust.snapshot().epoch,
      }),
    ),
    watchEntitlements: makeWatchEntitlements({
      attest,
      decide,
      snapshot: () => trust.snapshot(),
      changed: shareChanges(async (signal) => {
        const settled = new AbortController()
        const either = AbortSignal.any([signal, settled.signal])
        await Promise.race([trust.changed(either), rules.changed(either)])
        settled.abort()
      }),
      now: () => clock.now(),
      renewals,
      bans,
      refused: (attested, { code, reason = code }) => {
        refusals.stream({ type: "stream.refused", actor: actorOf(attested), requestId: "stream", code, reason })
      },
      streams: liveStreams,
      keyHolders,
    }),
    holderOf: async (token, signal) => holderOf(requesterOf(await attest(token, signal))),
    subscribers: new Subscribers(() => clock.now(), consumers),
    consumers,
    renewals,
    rulesChanged: () => rules.fire(),
  }
}

/** `issue`, with how long it took when it succeeded. */
function timed<Request, Svid>(
  clock: Clock,
  events: ServerEvents,
  kind: "x509" | "jwt",
  issue: (request: Request, signal: AbortSignal) => Promise<Svid>,
): (request: Request, signal: AbortSignal) => Promise<Svid> {
  return async (request, signal) => {
    const started = clock.monotonic()
    const svid = await issue(request, signal)
    events.took(kind, clock.monotonic() - started)
    return svid
  }
}

/** Names a request in log, audit and replies: unique in this process, and hard to take for another process's. */
export function makeRequestIds(random: Random): () => string {
  const process = createHash("sha256").update(random(16)).digest("base64url").slice(0, 8)
  let count = 0
  return () => `${process}-${(++count).toString(36)}`
}

/** Relying parties of the token endpoint choose between both, so both are published at once. @see JWKS-08 */
function jwtAlgorithms({ keys, oauth }: ServerConfig): readonly JwtKeyAlgorithm[] {
  const algorithm = keys.jwtAlgorithm === "ec-p256" ? "ES256" : "RS256"
  if (oauth === undefined) return [algorithm]
  return [algorithm, algorithm === "ES256" ? "RS256" : "ES256"]
}

function ratesOf({ limits }: ServerConfig) {
  return {
    perIdentity: { perSecond: limits.identityRate, burst: limits.identityBurst },
    global: { perSecond: limits.globalRate, burst: limits.globalBurst },
  }
}

/** One replica today; each of several would have its own. */
const SERIAL_PREFIX = 1
