import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { openWorkloadClient } from "../../src/adapters/workload-client/workload-client.ts"
import { parseWorkloadEndpoint } from "../../src/core/spiffe/endpoint.ts"
import { type AssayServer, startAssayAgent, startAssayServer } from "../support/assay-process.ts"
import type { LoadFlags, LoadMode, LoadResult } from "../support/peers/load.ts"
import { makeScratch } from "../support/scratch.ts"
import { until } from "../support/until.ts"
import { BUILT_AGENT, BUILT_SERVER, makeBenchCluster } from "./bench-server.ts"
import { measureLoad } from "./measure-load.ts"
import { residentKib } from "./memory.ts"
import { inRounds, type Span, type Spans, warmedUp } from "./rounds.ts"
import { openSpireTasks } from "./spire.ts"

export interface WireRates {
  readonly one: LoadResult
  readonly sixteen: LoadResult
  /** In each round. */
  readonly rounds: WireRounds
  /** Of a server and of an agent that serves one identity, at rest. */
  readonly serverIdleKib: number
  readonly agentIdleKib: number
}

export interface WireRounds {
  readonly sixtyFour: readonly LoadResult[]
  /** 64 items in flight, in batches of 16. */
  readonly batch: readonly LoadResult[]
  readonly jwt: readonly LoadResult[]
  /** What SPIRE's server does with the same client; none where it did not run. */
  readonly spireSixtyFour: readonly LoadResult[]
  readonly spireBatch: readonly LoadResult[]
}

/**
 * A real server in a process of its own, and a compiled client, both on this machine. With `isBesideSpire` SPIRE's server takes turns
 * with it.
 */
export async function measureWire(spans: Spans, isBesideSpire: boolean): Promise<WireRates> {
  await using stack = new AsyncDisposableStack()
  const { directory: folder } = stack.use(await makeScratch("bench"))
  const cluster = await makeBenchCluster(folder)
  const server = stack.use(await startAssayServer(cluster.config, BUILT_SERVER))
  const ca = join(folder, "roots.pem")
  const tokens = join(folder, "tokens")
  await writeFile(ca, server.roots)
  await writeFile(tokens, cluster.makeToken())
  const agentIdleKib = await measureAgent(server, tokens)
  const serverIdleKib = await residentKib(server.pid)
  const run = (mode: LoadMode, inFlight: number, more: LoadFlags = {}) => {
    const flags = { target: server.address, ca, tokens, "in-flight": inFlight, conns: Math.min(4, inFlight), ...more }
    return (span: Span) => measureLoad(mode, flags, span)
  }
  const spire = isBesideSpire ? stack.use(await openSpireTasks()) : undefined
  const [first] = spans
  const one = await run("issue-x509", 1)(first)
  const sixteen = await run("issue-x509", 16)(first)
  const sixtyFour = run("issue-x509", 64)
  const own = {
    sixtyFour: (span: Span) => sixtyFour(warmedUp(span)),
    batch: run("batch-x509", 4, { batch: 16 }),
    jwt: run("issue-jwt", 64),
  }
  const none = { spireSixtyFour: [], spireBatch: [] }
  const rounds =
    spire === undefined
      ? { ...(await inRounds(spans, own)), ...none }
      : await inRounds(spans, { ...own, spireSixtyFour: spire.sixtyFour, spireBatch: spire.batch })
  return { serverIdleKib, agentIdleKib, one, sixteen, rounds }
}

async function measureAgent(server: AssayServer, tokenFile: string): Promise<number> {
  await using agent = await startAssayAgent(server, "bench", tokenFile, BUILT_AGENT)
  using workload = openWorkloadClient(parseWorkloadEndpoint(`unix://${agent.socket}`))
  const fetched = () => workload.fetchJwt(["bench"], undefined, AbortSignal.timeout(5000)).catch(() => undefined)
  await until("the agent serves", async () => (await fetched()) !== undefined)
  return await residentKib(agent.pid)
}
