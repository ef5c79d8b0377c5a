import { once } from "node:events"
import { makeJwsVerifier } from "../adapters/jose/verify-jws.ts"
import { makeServerMetrics, type ServerMetrics } from "../adapters/metrics/registry.ts"
import { exposedFiles } from "../adapters/sqlite/exposed-files.ts"
import { systemClock } from "../adapters/system/clock.ts"
import { makeSystemRandom } from "../adapters/system/random.ts"
import { keepConsumers } from "../app/deliver/keep-consumers.ts"
import { clockJumped } from "../app/issue/clock-guard.ts"
import { BAN_KINDS } from "../core/ban/ban.ts"
import { makeChangeSignal } from "../core/change-signal.ts"
import type { Secret } from "../core/secret.ts"
import type { Log } from "../ports/telemetry.ts"
import { listenHealth } from "../transports/health/health-http.ts"
import type { ServerConfig } from "./config/server-config.ts"
import { openAdmin } from "./server/admin.ts"
import { openAuditSeals } from "./server/audit.ts"
import { measureAuthorities } from "./server/authority-metrics.ts"
import { measureConsumers } from "./server/consumer-metrics.ts"
import { demandThreads } from "./server/demand-threads.ts"
import { openEvidence } from "./server/evidence.ts"
import { measureFederation, openFederation } from "./server/federation.ts"
import { listenServer, type ServerListeners } from "./server/listeners.ts"
import { type LiveConfig, openLiveConfig } from "./server/live-config.ts"
import { openPipeline, type Pipeline } from "./server/pipeline.ts"
import { pruneExpired } from "./server/prune.ts"
import { watchReadiness } from "./server/readiness.ts"
import { keepRefusals } from "./server/refusals.ts"
import { openRotations } from "./server/rotation.ts"
import { openServingTls } from "./server/serving-certificate.ts"
import { openServerState } from "./server/state.ts"
import { openTokens } from "./server/token-listener.ts"
import { makeServerEvents } from "./server-events.ts"

export interface ServerOptions {
  readonly config: ServerConfig
  readonly sealingKey: Secret
  readonly log: Log
  /** Calls `adopt` with each good new configuration until `signal` aborts; when that fails, the one before stays in force. */
  readonly watch: (adopt: AdoptConfig, metrics: ServerMetrics, signal: AbortSignal) => Promise<void>
  /** Called once everything listens, with the ports that were bound. */
  readonly listening?: (ports: ServerPorts) => void
}

export interface ServerPorts {
  readonly grpc: number
  readonly health: number
  readonly https?: number
  readonly adminHttps?: number
}

/** Puts a configuration into force as a whole. Rejects, and changes nothing, when a cluster cannot be opened. */
export type AdoptConfig = (config: ServerConfig) => Promise<void>

/**
 * Run a server until `signal` aborts: open what `assay init` made, serve, keep authorities, certificates and bundles current.
 * @throws IdentityError when it cannot start; anything else is a bug
 */
export async function runServer(options: ServerOptions, signal: AbortSignal): Promise<void> {
  const { config, log } = options
  const random = makeSystemRandom()
  const metrics = makeServerMetrics()
  const events = makeServerEvents(log, metrics)
  for (const { file } of config.audit.sinks) metrics.auditFileFailing.set({ file }, 0)
  await using stack = new AsyncDisposableStack()
  const state = await openServerState(config, options.sealingKey, log, (file, failure) => {
    events.auditFileChanged(file, failure)
  })
  stack.use(state.crypto)
  stack.use(state.store)
  for (const { file, mode } of await exposedFiles(config.storage.sqlite)) {
    log.warn({ file, mode: mode.toString(8) }, "others may read or write this file of the store: chmod 600")
  }
  let live = await openLive(config, log)
  const audit = state.store.auditLog
  const refusals = stack.use(keepRefusals({ audit, clock: systemClock, failed: events.refusalsUnrecorded }))
  const pipeline = await openPipeline({ state, live: () => live, clock: systemClock, random, events, refusals })
  const { trust } = pipeline
  const seals = await openAuditSeals({ state, sealingKey: options.sealingKey, trust, events: events.authority })
  const serving = await openServingTls(
    config.serving,
    servingDeps(pipeline, config, random),
    connectionLimits(config),
    log,
  )
  const readiness = watchReadiness(
    [() => state.store.failure ?? state.crypto.failure, () => (pipeline.guard.steady() ? undefined : clockJumped())],
    systemClock,
    events.readinessChanged,
  )
  // Before anybody can ask: a snapshot without them would take trust away from those who hold them.
  const adopted = makeChangeSignal()
  const federation = await openFederation({
    domains: () => live.config.federation,
    reconfigured: (until) => adopted.changed(until),
    incarnation: trust.record().incarnation,
    publish: (bundles) => trust.setFederated(bundles),
    store: state.store.federatedBundles,
    clock: systemClock,
    events: events.federation,
  })
  const listeners = await listenServer({
    pipeline,
    live: () => live,
    tls: serving.tls,
    probe: () => serving.probe(),
    readiness,
    clock: systemClock,
    random,
    log,
    metrics,
  })
  stack.use(listeners)
  const health = stack.use(
    await listenHealth(config.listen.health.host, config.listen.health.port, {
      ready: () => readiness.ready(),
      metrics: () => {
        metrics.ready.set(readiness.ready() ? 1 : 0)
        measureFederation(metrics, federation.facts())
        return scrape(metrics, pipeline, listeners)
      },
    }),
  )
  const tokens = await openTokens({
    pipeline,
    state,
    live: () => live,
    clock: systemClock,
    random,
    events,
    log,
    serving,
  })
  if (tokens !== undefined) stack.use(tokens)
  const { subscribers } = listeners
  const ready = () => readiness.ready()
  const evidence = openEvidence(pipeline, state, systemClock, () => live.config)
  const rotations = openRotations({
    pipeline,
    state,
    serving,
    live: () => live,
    evidence,
    clock: systemClock,
    random,
    log,
  })
  const admin = stack.use(
    await openAdmin({
      pipeline,
      state,
      refusals,
      subscribers,
      rotations,
      evidence,
      ready,
      federation: () => federation.facts(),
      live: () => live,
      clock: systemClock,
      random,
      log,
      metrics,
      serving,
      proveAccessToken: tokens?.proveAccessToken,
    }),
  )
  const stop = new AbortController()
  const until = AbortSignal.any([signal, stop.signal])
  const adopt: AdoptConfig = async (next) => {
    live = await openLive(next, log, live)
    pipeline.rulesChanged()
    adopted.fire()
  }
  const tasks = [
    pipeline.issuing.run(until),
    pipeline.bans.run(until),
    pipeline.keyHolders.run(until),
    rotations.x509.run(until),
    rotations.jwt.run(until),
    seals.run(until),
    serving.run(until),
    readiness.run(until),
    demandThreads([() => state.store.dead, () => state.crypto.failure], systemClock, until),
    federation.run(until),
    keepConsumers(pipeline.consumers, { clock: systemClock, log, consumers: state.store.consumerLog }, until),
    pruneExpired({ store: state.store, clock: systemClock, guard: pipeline.guard, log }, until),
    options.watch(adopt, metrics, until),
    ...(tokens === undefined ? [] : [tokens.run(until)]),
  ]
  const ports = {
    grpc: listeners.grpcPort,
    health: health.port,
    ...(tokens === undefined ? {} : { https: tokens.port }),
    ...(admin.port === undefined ? {} : { adminHttps: admin.port }),
  }
  log.info({ trustDomain: config.trustDomain, ...ports, admin: admin.socket }, "server listens")
  options.listening?.(ports)
  try {
    await Promise.race([signal.aborted ? undefined : once(signal, "abort"), ...tasks])
  } finally {
    stop.abort()
    await Promise.allSettled(tasks)
  }
  log.info({}, "server stops")
}

function openLive(config: ServerConfig, log: Log, before?: LiveConfig): Promise<LiveConfig> {
  return openLiveConfig(config, { verifier: makeJwsVerifier(), clock: systemClock, log }, before)
}

function servingDeps(pipeline: Pipeline, config: ServerConfig, random: ReturnType<typeof makeSystemRandom>) {
  const { trust, issuing, ephemeral, serialPrefix } = pipeline
  const plan = { ttl: Math.min(SERVING_TTL, config.issuing.ttl), backdate: config.x509.backdate, serialPrefix }
  return { trust, issuing, ephemeral, signIntent: pipeline.signIntent, clock: systemClock, random, plan }
}

function connectionLimits({ limits }: ServerConfig) {
  return { headerBytes: limits.headerSize, streamsPerConnection: limits.streamsPerConnection }
}

async function scrape(metrics: ServerMetrics, pipeline: Pipeline, listeners: ServerListeners): Promise<string> {
  metrics.epoch.set(pipeline.trust.snapshot().epoch)
  metrics.subscribers.set(listeners.subscribers.size)
  measureConsumers(metrics, pipeline)
  measureAuthorities(metrics, pipeline.trust)
  for (const kind of BAN_KINDS) metrics.bans.set({ kind }, 0)
  for (const { ban } of pipeline.bans.inForce()) metrics.bans.inc({ kind: ban.target.kind })
  return metrics.registry.metrics()
}

/** Of the server's own SVID; agents meet it at each connection. */
const SERVING_TTL = 24 * 3600
