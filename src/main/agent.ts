import { once } from "node:events"
import { hostname } from "node:os"
import { openIdentityClient } from "../adapters/identity-client/open-identity-client.ts"
import { makeJwsVerifier } from "../adapters/jose/verify-jws.ts"
import { processKeys } from "../adapters/process-keys/process-keys.ts"
import { systemClock } from "../adapters/system/clock.ts"
import { makeSystemRandom } from "../adapters/system/random.ts"
import { type OpenIdentitySource, openIdentitySource } from "../app/agent/open-identity-source.ts"
import { verifyIssued } from "../app/agent/verify-issued.ts"
import type { IdentitySource } from "../app/deliver/identity-source.ts"
import { makeValidateJwtSvid } from "../app/deliver/validate-jwt-svid.ts"
import { SpiffeWorkloadAPIService } from "../gen/spiffe/workload.ts"
import type { Log } from "../ports/telemetry.ts"
import { makeHealthService, type Readiness } from "../transports/grpc/health-service.ts"
import { type GrpcService, listenGrpc } from "../transports/grpc/listen.ts"
import { makeReflectionServices } from "../transports/grpc/reflection-service.ts"
import { listenHealth } from "../transports/health/health-http.ts"
import { SDS_BOUNDS } from "../transports/sds/sds-bounds.ts"
import type { SdsMetrics } from "../transports/sds/sds-events.ts"
import { makeSdsService, type SdsService } from "../transports/sds/sds-service.ts"
import { makeWorkloadService } from "../transports/workload/workload-service.ts"
import { agentFacts, openAgentMetrics } from "./agent-metrics.ts"
import { demandSocket, openSocketTo, prepareSocketPath } from "./agent-socket.ts"
import { identityClientSettings } from "./agent-trust.ts"
import type { AgentConfig } from "./config/agent-config.ts"

/**
 * Run an agent until `signal` aborts: keep the identities of this pod current, and serve them on one unix socket.
 * @param listening called once the socket takes connections
 * @throws IdentityError when it cannot start; anything else is a bug @see AGT-40..AGT-42
 */
export async function runAgent(
  config: AgentConfig,
  log: Log,
  signal: AbortSignal,
  listening?: () => void,
): Promise<void> {
  const random = makeSystemRandom()
  const path = await prepareSocketPath(config.socket.path)
  await using stack = new AsyncDisposableStack()
  const settings = identityClientSettings(config, config.name ?? hostname())
  const insecure = config.bootstrap.kind === "insecure"
  const served = config.health.listen !== undefined
  const metrics = await openAgentMetrics(served, () => agentFacts(source.current(), systemClock.now()), insecure)
  const probeFailed = () => metrics.trustProbeFailed()
  const authority = stack.use(openIdentityClient(settings, { clock: systemClock, log, probeFailed }))
  const source = stack.use(
    openIdentitySource({
      authority,
      keys: processKeys,
      keyAlgorithm: config.keys.algorithm,
      clock: systemClock,
      random,
      log,
      trustDomain: config.trustDomain,
      verifyIssued,
    }),
  )
  const sds = makeSds(config, source, log, metrics.sds)
  const closing = new AbortController()
  stack.use(
    await listenGrpc(
      `unix:${path}`,
      undefined,
      services(source, sds, log, closing.signal),
      LIMITS,
      config.drain.timeout * 1000,
    ),
  )
  // Both come down before the listener does, so that open streams end well and the drain need not wait for them.
  stack.use(sds)
  stack.defer(() => closing.abort())
  await openSocketTo(path, config.socket.mode)
  if (config.health.listen !== undefined && metrics.text !== undefined) {
    const ready = (): boolean => source.current().kind === "ready"
    const { host, port } = config.health.listen
    stack.use(await listenHealth(host, port, { ready, metrics: metrics.text }))
  }
  log.info({ socket: path, trustDomain: config.trustDomain }, "agent listens")
  listening?.()
  await untilStopped(source, path, signal)
  log.info({}, "agent stops")
}

function services(source: IdentitySource, sds: SdsService, log: Log, closing: AbortSignal): readonly GrpcService[] {
  const validateJwtSvid = makeValidateJwtSvid({
    verifier: makeJwsVerifier(),
    now: () => systemClock.now(),
    skew: CLOCK_SKEW,
  })
  const limits = { streams: MAX_STREAMS, unary: UNARY_TIMEOUT }
  const workload = makeWorkloadService({ sourceFor: () => source, validateJwtSvid, log, limits, closing })
  return [
    { definition: SpiffeWorkloadAPIService, implementation: workload },
    sds,
    makeHealthService(readiness(source), SERVED, closing),
    ...makeReflectionServices(SERVED),
  ]
}

/** One socket, one pod: whoever can connect is that pod, and gets what it holds. */
function makeSds(config: AgentConfig, source: IdentitySource, log: Log, metrics: SdsMetrics): SdsService {
  const { defaultSvidName, defaultBundleName, allBundlesName, spiffeValidator } = config.sds
  return makeSdsService({
    openSource: async () => ({ source, [Symbol.asyncDispose]: async () => undefined }),
    words: { svid: defaultSvidName, bundle: defaultBundleName, allBundles: allBundlesName },
    validator: spiffeValidator ? "spiffe" : "plain",
    limits: { ...SDS_BOUNDS, streams: MAX_STREAMS, streamAge: undefined },
    clock: systemClock,
    random: makeSystemRandom(),
    log,
    metrics,
  })
}

function readiness(source: IdentitySource): Readiness {
  return { ready: () => source.current().kind === "ready", changed: (signal) => source.changed(signal) }
}

/** Until we are told to stop, or there is nothing left to serve from, or on. */
async function untilStopped(source: OpenIdentitySource, path: string, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const ended = new AbortController()
  try {
    const stopped = once(signal, "abort", { signal: ended.signal })
    await Promise.race([stopped, source.finished, demandSocket(path, systemClock, ended.signal)])
  } finally {
    ended.abort()
  }
}

const SERVED = ["SpiffeWorkloadAPI", "envoy.service.secret.v3.SecretDiscoveryService"]
const CLOCK_SKEW = 10
const UNARY_TIMEOUT = 15_000
const MAX_STREAMS = 1024
/** More on one connection than all open streams: what is above the bound is refused, and not left waiting at the client. @see WE-07 */
const LIMITS = { messageBytes: 256 * 1024, streamsPerConnection: 4 * MAX_STREAMS, connectionAge: undefined }
