import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { makeServerMetrics, type ServerMetrics } from "../../src/adapters/metrics/registry.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import type { RecordRefusals } from "../../src/app/audit/record-refusals.ts"
import { makeChangeSignal } from "../../src/core/change-signal.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import type { ServerConfig } from "../../src/main/config/server-config.ts"
import { listenServer, type ServerListeners } from "../../src/main/server/listeners.ts"
import { type LiveConfig, openLiveConfig } from "../../src/main/server/live-config.ts"
import { openPipeline, type Pipeline } from "../../src/main/server/pipeline.ts"
import { readSealingKey } from "../../src/main/server/read-sealing-key.ts"
import { keepRefusals } from "../../src/main/server/refusals.ts"
import { type KeptTls, openServingTls } from "../../src/main/server/serving-certificate.ts"
import { initServerState, openServerState, type ServerState } from "../../src/main/server/state.ts"
import { makeServerEvents } from "../../src/main/server-events.ts"
import type { Clock } from "../../src/ports/clock.ts"
import type { Log } from "../../src/ports/telemetry.ts"
import type { ServingTls } from "../../src/transports/grpc/serving-tls.ts"
import { quietLog } from "./quiet-log.ts"
import { makeScratch } from "./scratch.ts"
import { type ConfigOverrides, makeServerSetup, type ServerSetup } from "./server-setup.ts"

/** The pipeline of a real server over its own store in this process; nothing listens. */
export interface PipelineUnderTest extends AsyncDisposable {
  readonly setup: ServerSetup
  readonly pipeline: Pipeline
  readonly state: ServerState
  /** Recorded when it, or the server, is disposed. */
  readonly refusals: RecordRefusals & AsyncDisposable
  readonly metrics: ServerMetrics
  readonly live: () => LiveConfig
  readonly log: Log
  readonly clock: Clock
  /** Put other clusters, rules or limits into force, as a changed file does. */
  reload(overrides: ConfigOverrides): Promise<void>
  /** PEM of the root. */
  readonly roots: string
}

export interface PipelineOptions {
  readonly config?: ConfigOverrides
  readonly log?: Log
  readonly clock?: Clock
  /** Stands between pipeline and store, to see or break what is written. */
  readonly wrap?: (state: ServerState) => ServerState
  /** A folder that stays when the server is disposed. Default: a new one that does not. */
  readonly setup?: ServerSetup
  /** Make the trust domain first. Default true. */
  readonly init?: boolean
  /** Values that a file could not have, such as lives that a test can wait for. */
  readonly tune?: (config: ServerConfig) => ServerConfig
}

export async function openPipelineUnderTest(options: PipelineOptions = {}): Promise<PipelineUnderTest> {
  await using stack = new AsyncDisposableStack()
  const { clock = systemClock, log = quietLog, wrap = (state) => state, tune = (parsed) => parsed } = options
  const overrides = options.config ?? {}
  const setup = options.setup ?? (await makeServerSetup(stack.use(await makeScratch()).directory, overrides))
  const config = tune(setup.parse(overrides))
  const sealingKey = await readSealingKey(config, {})
  const random = makeSystemRandom()
  if (options.init !== false) await initServerState(config, async () => sealingKey, clock, random)
  const opened = await openServerState(config, sealingKey, quietLog)
  stack.use(opened.crypto)
  stack.use(opened.store)
  const state = wrap(opened)
  const metrics = makeServerMetrics()
  let live = await makeLive(config, clock)
  const events = makeServerEvents(log, metrics)
  const refusals = stack.use(keepRefusals({ audit: state.store.auditLog, clock, failed: events.refusalsUnrecorded }))
  const pipeline = await openPipeline({ state, live: () => live, clock, random, events, refusals })
  const moved = stack.move()
  return {
    setup,
    pipeline,
    state,
    refusals,
    metrics,
    log,
    clock,
    live: () => live,
    roots: pipeline.trust
      .snapshot()
      .own.x509Authorities.map((der) => encodePem("CERTIFICATE", der))
      .join(""),
    reload: async (change) => {
      live = await makeLive(tune(setup.parse({ ...overrides, ...change })), clock, live)
      pipeline.rulesChanged()
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

/** A server with its gRPC listener on a loopback port, in this process. */
export interface ServerUnderTest extends PipelineUnderTest {
  /** `127.0.0.1:<port>` */
  readonly address: string
  readonly port: number
  readonly listeners: ServerListeners
  readonly tls: ServingTls
  readonly serving: KeptTls
  /** What health says; a test may change it. */
  readonly readiness: { ready: boolean; changed(): void }
}

export async function openServerUnderTest(options: PipelineOptions = {}): Promise<ServerUnderTest> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await openPipelineUnderTest(options))
  const { pipeline, metrics, log, clock, live } = server
  const random = makeSystemRandom()
  const { config } = live()
  const { trust, issuing, ephemeral, serialPrefix } = pipeline
  const plan = { ttl: 3600, backdate: config.x509.backdate, serialPrefix }
  const servingDeps = { trust, issuing, ephemeral, signIntent: pipeline.signIntent, clock, random, plan }
  const { headerSize: headerBytes, streamsPerConnection } = config.limits
  const serving = await openServingTls(config.serving, servingDeps, { headerBytes, streamsPerConnection }, log)
  const changes = makeChangeSignal()
  const readiness = { ready: true, changed: () => changes.fire() }
  const listeners = stack.use(
    await listenServer({
      pipeline,
      live,
      tls: serving.tls,
      probe: () => serving.probe(),
      readiness: { ready: () => readiness.ready, changed: (signal) => changes.changed(signal) },
      clock,
      random,
      log,
      metrics,
    }),
  )
  const moved = stack.move()
  return {
    ...server,
    listeners,
    tls: serving.tls,
    serving,
    readiness,
    port: listeners.grpcPort,
    address: `127.0.0.1:${listeners.grpcPort}`,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

function makeLive(config: ServerConfig, clock: Clock, before?: LiveConfig): Promise<LiveConfig> {
  return openLiveConfig(config, { verifier: makeJwsVerifier(), clock, log: quietLog }, before)
}
