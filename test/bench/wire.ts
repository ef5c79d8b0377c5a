import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openWorkloadClient } from "../../src/adapters/workload-client/workload-client.ts"
import { parseWorkloadEndpoint } from "../../src/core/spiffe/endpoint.ts"
import { type AssayServer, startAssayAgent, startAssayServer } from "../support/assay-process.ts"
import { type LoadResult, runLoad } from "../support/peers/load.ts"
import { until } from "../support/until.ts"
import { BUILT_AGENT, BUILT_SERVER, makeBenchCluster } from "./bench-server.ts"
import { warmUpOf } from "./measure.ts"
import { residentKib } from "./memory.ts"

export interface WireRates {
  readonly one: LoadResult
  readonly sixteen: LoadResult
  readonly sixtyFour: LoadResult
  /** 64 items in flight, in batches of 16. */
  readonly batch: LoadResult
  readonly jwt: LoadResult
  /** Of a server and of an agent that serves one identity, at rest. */
  readonly serverIdleKib: number
  readonly agentIdleKib: number
}

/** A real server in a process of its own, and a compiled client, both on this machine. */
export async function measureWire(seconds: number): Promise<WireRates> {
  const folder = await mkdtemp(join(tmpdir(), "assay-bench-"))
  try {
    const cluster = await makeBenchCluster(folder)
    await using server = await startAssayServer(cluster.config, BUILT_SERVER)
    const ca = join(folder, "roots.pem")
    const tokens = join(folder, "tokens")
    await writeFile(ca, server.roots)
    await writeFile(tokens, cluster.makeToken())
    const agentIdleKib = await measureAgent(server, tokens)
    const serverIdleKib = await residentKib(server.pid)
    const flags = { target: server.address, ca, tokens, duration: `${seconds}s`, warmup: `${warmUpOf(seconds)}s` }
    const run = async (mode: "issue-x509" | "batch-x509" | "issue-jwt", inFlight: number, more = {}) => {
      const conns = Math.min(4, inFlight)
      return checked(await runLoad(mode, { ...flags, "in-flight": inFlight, conns, ...more }, 120_000))
    }
    return {
      serverIdleKib,
      agentIdleKib,
      one: await run("issue-x509", 1),
      sixteen: await run("issue-x509", 16),
      sixtyFour: await run("issue-x509", 64),
      batch: await run("batch-x509", 4, { batch: 16 }),
      jwt: await run("issue-jwt", 64),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function measureAgent(server: AssayServer, tokenFile: string): Promise<number> {
  await using agent = await startAssayAgent(server, "bench", tokenFile, BUILT_AGENT)
  using workload = openWorkloadClient(parseWorkloadEndpoint(`unix://${agent.socket}`))
  const fetched = () => workload.fetchJwt(["bench"], undefined, AbortSignal.timeout(5000)).catch(() => undefined)
  await until("the agent serves", async () => (await fetched()) !== undefined)
  return await residentKib(agent.pid)
}

/** A figure with errors in it is none. */
export function checked(result: LoadResult): LoadResult {
  if (result.errors > 0) throw new Error(`load: ${result.errors} errors, first: ${result.firstError}`)
  if (result.count === 0) throw new Error("load: nothing was issued")
  return result
}
