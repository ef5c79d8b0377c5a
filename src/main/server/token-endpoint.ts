import { rememberVerified } from "../../adapters/jose/remember-verified.ts"
import { makeJwsVerifier } from "../../adapters/jose/verify-jws.ts"
import { makeProveAccessToken, type ProveAccessToken } from "../../app/attest/prove-access-token.ts"
import { makeProveClientAssertion } from "../../app/attest/prove-client-assertion.ts"
import { makeProveExternalToken } from "../../app/attest/prove-external-token.ts"
import { makeProveJwtSvid } from "../../app/attest/prove-jwt-svid.ts"
import { makeProveKubeToken } from "../../app/attest/prove-kube-token.ts"
import { makeProveX509Svid } from "../../app/attest/prove-x509-svid.ts"
import { type AnswerTokenRequest, makeAnswerTokenRequest } from "../../app/exchange/answer-token-request.ts"
import { makeAuthenticateClient } from "../../app/exchange/authenticate-client.ts"
import { type Introspect, makeIntrospect } from "../../app/exchange/introspect.ts"
import { makeFindParties } from "../../app/exchange/parties.ts"
import { currentDpopNonce, makeProveDpop } from "../../app/exchange/prove-dpop.ts"
import { makeProveSubject } from "../../app/exchange/prove-subject.ts"
import { makeReplayLogSince } from "../../app/exchange/replay-log-since.ts"
import { openRevocationView, type RevocationView } from "../../app/exchange/revocation-view.ts"
import { makeRevoke, type Revoke } from "../../app/exchange/revoke.ts"
import { makeIssueToken } from "../../app/issue/issue-token.ts"
import { makeSignIntrospection } from "../../app/issue/sign-introspection.ts"
import { endpointOf, type IssuerAddresses } from "../../core/oauth/metadata.ts"
import { decideToken } from "../../core/policy/decide-token.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Random } from "../../ports/random.ts"
import type { Log } from "../../ports/telemetry.ts"
import type { ServerEvents } from "../server-events.ts"
import type { LiveConfig } from "./live-config.ts"
import type { Pipeline } from "./pipeline.ts"
import type { ServerState } from "./state.ts"

export interface TokenEndpointDeps {
  readonly addresses: IssuerAddresses
  readonly pipeline: Pipeline
  readonly state: ServerState
  readonly live: () => LiveConfig
  readonly clock: Clock
  readonly random: Random
  readonly events: ServerEvents
  readonly log: Log
}

/** What the OAuth doors can ask for. */
export interface TokenEndpoint {
  readonly answerToken: AnswerTokenRequest
  readonly introspect: Introspect
  readonly revoke: Revoke
  readonly dpopNonce: () => string | undefined
  readonly revocations: RevocationView
  readonly proveAccessToken: ProveAccessToken
}

/** Put the use cases of the token endpoint together. @throws IdentityError when what was revoked cannot be read */
export async function openTokenEndpoint(deps: TokenEndpointDeps): Promise<TokenEndpoint> {
  const { addresses, pipeline, state, live, clock, random, events, log } = deps
  const { issuer } = addresses
  const { trust, rateLimit, guard, bans, denyToken: deny } = pipeline
  const { trustDomain, restoredAt } = trust.record()
  const { store } = state
  const replayLog = makeReplayLogSince(store.replayLog, restoredAt)
  const audit = store.auditLog
  const revocations = await openRevocationView({
    log: store.revocationLog,
    clock,
    restoredAt,
    steady: () => guard.steady(),
    onReadFailed: (err) => log.error({ err }, "what other replicas revoked cannot be read; trying again"),
  })
  const verifier = rememberVerified(makeJwsVerifier(), REMEMBERED_TOKENS)
  const bundles = () => [trust.snapshot().own, ...trust.snapshot().federated]
  const clusters = () => live().clusters
  const proveJwtSvid = makeProveJwtSvid({ verifier, bundles, revocations, deny, clock, issuer })
  const proveKubeToken = makeProveKubeToken(pipeline)
  const authorities = () => trust.snapshot().own.jwtAuthorities
  const proveAccessToken = makeProveAccessToken({ verifier, authorities, revocations, deny, clock, issuer })
  const authenticate = makeAuthenticateClient({
    proveJwtSvid,
    proveKubeToken,
    proveX509Svid: makeProveX509Svid({ bundles, clock, deny }),
    proveClientAssertion: makeProveClientAssertion({ replayLog, clock }),
    clusters,
    clients: () => live().tokenIssuers.clients,
    issuer,
    rateLimit,
  })
  const holdsAudience = (holder: SpiffeId, audience: string) => isHolder(live(), holder, audience)
  const proveSubject = makeProveSubject({
    proveJwtSvid,
    proveKubeToken,
    proveAccessToken,
    proveExternalToken: makeProveExternalToken({ trustDomain, clock, revocations }),
    clusters,
    externalIssuers: () => live().tokenIssuers.external,
    holdsAudience,
    issuer,
  })
  const dpop = {
    verifier: makeJwsVerifier(),
    replayLog,
    clock,
    nonceKey: state.dpopNonceKey,
    nonce: () => live().config.oauth?.dpopNonce ?? "off",
  }
  const signing = {
    keyFor: (algorithm: "ES256" | "RS256", signal: AbortSignal) => {
      const { jwtKeys } = pipeline
      return jwtKeys.whenReplaced(() => jwtKeys.active(algorithm), signal)
    },
    signIntent: pipeline.signIntent,
    clock,
    random,
    issuer,
    epoch: () => trust.snapshot().epoch,
  }
  const issue = makeIssueToken({
    ...signing,
    certify: pipeline.certify,
    events: events.issue,
    isRevoked: (token) => revocations.isRevoked(token),
  })
  return {
    answerToken: makeAnswerTokenRequest({
      authenticate,
      findParties: makeFindParties({ proveSubject, replayLog, issuer, trustDomain }),
      proveDpop: makeProveDpop(dpop),
      decide: (question) => decideToken(question, live().config.rules),
      issue,
      rateLimit,
      bans,
      audit,
      guard,
      clock,
      events: events.issue,
      trustDomain,
      endpoint: endpointOf(addresses.endpoints, "/token"),
    }),
    introspect: makeIntrospect({
      authenticate,
      proveAccessToken,
      holdsAudience,
      sign: makeSignIntrospection(signing),
      bans,
      audit,
      clock,
    }),
    revoke: makeRevoke({
      authenticate,
      proveAccessToken,
      proveJwtSvid,
      revocations,
      revokers: () => new Set(live().config.oauth?.revokers),
      bans,
      clock,
    }),
    dpopNonce: () => currentDpopNonce(dpop),
    revocations,
    proveAccessToken,
  }
}

function isHolder({ audienceHolders }: LiveConfig, holder: SpiffeId, audience: string): boolean {
  return audience === holder || audienceHolders.get(audience)?.has(holder) === true
}

/** Some 4 MiB. */
const REMEMBERED_TOKENS = 20_000
