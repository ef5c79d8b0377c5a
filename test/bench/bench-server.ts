import { randomBytes } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { parseSealingKey } from "../../src/adapters/disk-keys/sealing-key.ts"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { makeServerMetrics } from "../../src/adapters/metrics/registry.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { parseServerConfig } from "../../src/main/config/server-config.ts"
import { LocalCluster } from "../../src/main/demo/local-cluster.ts"
import { openLiveConfig } from "../../src/main/server/live-config.ts"
import { openPipeline, type Pipeline } from "../../src/main/server/pipeline.ts"
import { initServerState, openServerState } from "../../src/main/server/state.ts"
import { makeServerEvents } from "../../src/main/server-events.ts"
import { quietLog } from "../support/quiet-log.ts"
import { makeScratch } from "../support/scratch.ts"

/** A stand-in cluster, and the parts of a server's configuration that name it and lift the limits. */
export interface BenchCluster {
  readonly config: Readonly<Record<string, unknown>>
  /** A token of a pod of its own. */
  makeToken(): string
}

export async function makeBenchCluster(folder: string): Promise<BenchCluster> {
  const cluster = new LocalCluster("https://bench.example", () => systemClock.now())
  const jwks = join(folder, "jwks.json")
  await writeFile(jwks, cluster.jwks())
  let pods = 0
  return {
    config: {
      clusters: [
        {
          name: "bench",
          issuer: "https://bench.example",
          audiences: ["assay"],
          keys: { jwks_file: jwks },
          token_review: { mode: "off" },
        },
      ],
      limits: {
        identity_rate: "100000/s",
        identity_burst: 1_000_000,
        global_rate: "1000000/s",
        global_burst: 1_000_000,
        streams_per_connection: 10_000,
      },
    },
    makeToken: () => {
      const pod = cluster.createPod("bench", "load", `load-${pods++}`)
      return cluster.issueToken(pod, { audience: ["assay"], lifetime: 3600 })
    },
  }
}

/** The pipeline of a real server in this process, over a store on disk. */
export async function openBenchPipeline(): Promise<AsyncDisposable & { pipeline: Pipeline; token: string }> {
  await using stack = new AsyncDisposableStack()
  const { directory: folder } = stack.use(await makeScratch("bench"))
  const cluster = await makeBenchCluster(folder)
  const text = JSON.stringify({
    ...cluster.config,
    trust_domain: "bench.example",
    storage: { sqlite: join(folder, "assay.db") },
    keys: { directory: join(folder, "keys") },
  })
  const config = parseServerConfig(text, "bench.yaml", makeCelConditions().compile)
  const sealingKey = parseSealingKey(randomBytes(32).toString("base64"))
  const random = makeSystemRandom()
  await initServerState(config, async () => sealingKey, systemClock, random)
  const state = await openServerState(config, sealingKey, quietLog)
  stack.use(state.store)
  const live = await openLiveConfig(config, {
    verifier: makeJwsVerifier(),
    clock: systemClock,
    log: quietLog,
  })
  const events = makeServerEvents(quietLog, makeServerMetrics())
  const pipeline = await openPipeline({
    state,
    live: () => live,
    clock: systemClock,
    random,
    events,
    refusals: { stream: () => undefined },
  })
  const opened = stack.move()
  return { pipeline, token: cluster.makeToken(), [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

const BUILT_CLI = join(import.meta.dirname, "../../dist/main/cli.js")
/** The programs as they are installed and as the README starts them; `npm run bench` builds them first. */
export const BUILT_SERVER: readonly string[] = ["--max-semi-space-size=16", "--v8-pool-size=1", BUILT_CLI]
export const BUILT_AGENT: readonly string[] = ["--max-semi-space-size=1", "--v8-pool-size=1", BUILT_CLI]
