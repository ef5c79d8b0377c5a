import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openWorkloadClient } from "../../src/adapters/workload-client/workload-client.ts"
import { parseWorkloadEndpoint } from "../../src/core/spiffe/endpoint.ts"
import type { Millis } from "../../src/core/time.ts"
import { runAgent } from "../../src/main/agent.ts"
import { parseAgentConfig } from "../../src/main/config/agent-config.ts"
import { type AssayServer, startAssayServer } from "../support/assay-process.ts"
import { quietLog } from "../support/quiet-log.ts"
import { BUILT_SERVER, makeBenchCluster } from "./bench-server.ts"

export interface FirstSvid {
  readonly p50Ms: Millis
  readonly p99Ms: Millis
  readonly pods: number
}

/**
 * From an agent that begins to run until its workload holds its first SVID: socket, bootstrap, TLS, attestation, key, issuance,
 * Workload API. Each of `pods` has a token and an agent of its own, one after the other. The agents run in this process: what Node
 * takes to start is not in it, the demo shows that.
 */
export async function measureFirstSvid(pods: number): Promise<FirstSvid> {
  const folder = await mkdtemp(join(tmpdir(), "assay-bench-"))
  try {
    const cluster = await makeBenchCluster(folder)
    await using server = await startAssayServer(cluster.config, BUILT_SERVER)
    const times: Millis[] = []
    for (let pod = -WARM_UP; pod < pods; pod++) {
      const token = join(folder, `token${pod}`)
      await writeFile(token, cluster.makeToken())
      const took = await startOne(server, token, join(folder, `agent${pod}.sock`))
      if (pod >= 0) times.push(took)
    }
    times.sort((a, b) => a - b)
    const at = (share: number): Millis => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
    return { p50Ms: at(0.5), p99Ms: at(0.99), pods }
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function startOne(server: AssayServer, tokenFile: string, socket: string): Promise<Millis> {
  const text = JSON.stringify({
    trust_domain: server.trustDomain,
    server: { address: server.address },
    bootstrap: { bundle_file: server.bundleFile },
    token_file: tokenFile,
    socket: { path: socket },
  })
  const config = parseAgentConfig(text, "agent.yaml")
  const stop = new AbortController()
  const listening = Promise.withResolvers<void>()
  const begun = performance.now()
  const running = runAgent(config, quietLog, stop.signal, listening.resolve)
  try {
    await Promise.race([listening.promise, running])
    using workload = openWorkloadClient(parseWorkloadEndpoint(`unix://${socket}`))
    for await (const { svids } of workload.watchX509(AbortSignal.timeout(FIRST_WITHIN))) {
      if (svids.length > 0) return performance.now() - begun
    }
    throw new Error("the agent ended its stream before there was an SVID")
  } finally {
    stop.abort()
    await running
  }
}

/** What the first few take is the compiler's. */
const WARM_UP = 10
const FIRST_WITHIN: Millis = 10_000
