import type { ServerMetrics } from "../../adapters/metrics/registry.ts"
import { processKeys } from "../../adapters/process-keys/process-keys.ts"
import { openIdentitySource } from "../../app/agent/open-identity-source.ts"
import { verifyIssued } from "../../app/agent/verify-issued.ts"
import type { Subscribers } from "../../app/deliver/consumers.ts"
import { makeLocalAuthority } from "../../app/deliver/local-authority.ts"
import { makeOpenRemoteSource } from "../../app/deliver/remote-sources.ts"
import { encodeJwtBundle } from "../../core/spiffe/bundle-document.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Random } from "../../ports/random.ts"
import type { Log } from "../../ports/telemetry.ts"
import { bearerToken } from "../../transports/grpc/bearer.ts"
import { makeHealthService, type Readiness } from "../../transports/grpc/health-service.ts"
import { type GrpcListener, type GrpcService, listenGrpc } from "../../transports/grpc/listen.ts"
import { makeReflectionServices } from "../../transports/grpc/reflection-service.ts"
import type { ServingTls } from "../../transports/grpc/serving-tls.ts"
import { makeIdentityService } from "../../transports/identity/identity-service.ts"
import { SDS_BOUNDS } from "../../transports/sds/sds-bounds.ts"
import { makeSdsService, type SdsService } from "../../transports/sds/sds-service.ts"
import { SPIRE_WORDS } from "../../transports/sds/secret-names.ts"
import type { LiveConfig } from "./live-config.ts"
import type { Pipeline } from "./pipeline.ts"
import { makeRequestIds } from "./pipeline.ts"

export interface ListenerDeps {
  readonly pipeline: Pipeline
  readonly live: () => LiveConfig
  readonly tls: ServingTls
  /** Of the certificate that {@link tls} shows to who probes. */
  readonly probe: () => string | undefined
  readonly readiness: Readiness
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: ServerMetrics
}

export interface ServerListeners extends AsyncDisposable {
  readonly grpcPort: number
  readonly subscribers: Subscribers
}

/** The gRPC doors: Identity, remote SDS, health and reflection on one address. */
export async function listenServer(deps: ListenerDeps): Promise<ServerListeners> {
  const { listen, limits, drain } = deps.live().config
  const { subscribers } = deps.pipeline
  const sds = remoteSds(deps)
  const closing = new AbortController()
  const listener = await listenGrpc(
    `${listen.grpc.host.includes(":") ? `[${listen.grpc.host}]` : listen.grpc.host}:${listen.grpc.port}`,
    deps.tls,
    [
      identity(deps, subscribers, closing.signal),
      sds,
      makeHealthService(deps.readiness, SERVICES, closing.signal),
      ...makeReflectionServices(SERVICES),
    ],
    {
      messageBytes: limits.messageSize,
      streamsPerConnection: limits.streamsPerConnection,
      connectionAge: CONNECTION_AGE,
    },
    drain.timeout * 1000,
  )
  const close = async () => {
    closing.abort()
    await drainAll(sds, listener)
  }
  return { grpcPort: listener.port, subscribers, [Symbol.asyncDispose]: close }
}

async function drainAll(sds: SdsService, listener: GrpcListener): Promise<void> {
  // The streams end by themselves, else the listener would wait for them in vain.
  await sds[Symbol.asyncDispose]()
  await listener[Symbol.asyncDispose]()
}

function identity(deps: ListenerDeps, subscribers: Subscribers, closing: AbortSignal): GrpcService {
  const { pipeline } = deps
  return makeIdentityService({
    issueX509: pipeline.issueX509,
    issueJwt: pipeline.issueJwt,
    watchEntitlements: pipeline.watchEntitlements,
    subscribers,
    holderOf: pipeline.holderOf,
    snapshot: () => pipeline.trust.snapshot(),
    encodeJwks: encodeJwtBundle,
    probe: deps.probe,
    newRequestId: makeRequestIds(deps.random),
    random: deps.random,
    closing,
    limits: () => {
      const { limits } = deps.live().config
      return { csrBytes: limits.csrSize, tokenBytes: limits.tokenSize, streamAge: limits.streamAge }
    },
  })
}

/** SDS for proxies that show their platform token themselves: what an agent does for them is done here. */
function remoteSds(deps: ListenerDeps): SdsService {
  const { pipeline, clock, random, log, metrics } = deps
  const newRequestId = makeRequestIds(random)
  const open = makeOpenRemoteSource({
    attest: pipeline.attest,
    authorityFor: (token) => makeLocalAuthority({ ...pipeline, newRequestId }, token),
    openSource: (authority) =>
      openIdentitySource({
        authority,
        verifyIssued,
        trustDomain: pipeline.trust.record().trustDomain,
        keys: processKeys,
        keyAlgorithm: "ec-p256",
        clock,
        random,
        log,
      }),
    maxSources: MAX_REMOTE_CALLERS,
  })
  return makeSdsService({
    openSource: async (call, signal) => {
      const token = bearerToken(call.metadata, deps.live().config.limits.tokenSize)
      return open(token, signal)
    },
    words: SPIRE_WORDS,
    validator: "spiffe",
    limits: {
      ...SDS_BOUNDS,
      streams: MAX_SDS_STREAMS,
      get streamAge() {
        return deps.live().config.limits.streamAge
      },
    },
    clock,
    random,
    log,
    metrics: {
      streams: (_door, change) => metrics.sdsStreams.inc(change),
      pushed: () => metrics.sdsAnswers.inc({ outcome: "pushed" }),
      answered: (_door, outcome) => metrics.sdsAnswers.inc({ outcome }),
    },
  })
}

const SERVICES = ["assay.v1.Identity", "envoy.service.secret.v3.SecretDiscoveryService"]
const CONNECTION_AGE = 3600
const MAX_REMOTE_CALLERS = 10_000
const MAX_SDS_STREAMS = 50_000
