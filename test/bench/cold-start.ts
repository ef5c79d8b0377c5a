import { watch, writeFile } from "node:fs/promises"
import { openWorkloadClient } from "../../src/adapters/workload-client/workload-client.ts"
import { parseWorkloadEndpoint } from "../../src/core/spiffe/endpoint.ts"
import type { Millis } from "../../src/core/time.ts"
import type { AssayServer } from "../support/assay-process.ts"
import { Child } from "../support/peers/child.ts"
import { makeScratch } from "../support/scratch.ts"
import { BUILT_AGENT } from "./bench-server.ts"
import { median } from "./rounds.ts"

/** From the start of a process of `assay agent` until a workload holds its first SVID: the median of `times`. */
export async function measureColdStart(server: AssayServer, tokenFile: string, times: number): Promise<Millis> {
  const took: Millis[] = []
  for (let i = 0; i < times; i++) took.push(await startOne(server, tokenFile))
  return median(took)
}

async function startOne(server: AssayServer, tokenFile: string): Promise<Millis> {
  await using scratch = await makeScratch("cold")
  const config = {
    trust_domain: server.trustDomain,
    server: { address: server.address },
    bootstrap: { bundle_file: server.bundleFile },
    token_file: tokenFile,
    socket: { path: scratch.path(SOCKET) },
  }
  await writeFile(scratch.path("agent.yaml"), JSON.stringify(config))
  const deadline = AbortSignal.timeout(WITHIN)
  const opened = untilOpened(scratch.directory, deadline)
  const begun = performance.now()
  const args = [...BUILT_AGENT, "agent", "--config", scratch.path("agent.yaml")]
  await using _ = new Child({ name: "assay agent", command: process.execPath, args, log: scratch.path("agent.log") })
  await opened
  using workload = openWorkloadClient(parseWorkloadEndpoint(`unix://${config.socket.path}`))
  for await (const { svids } of workload.watchX509(deadline)) {
    if (svids.length > 0) return performance.now() - begun
  }
  throw new Error("the agent ended its stream before there was an SVID")
}

/** The agent gives its socket its mode once it listens. */
async function untilOpened(folder: string, signal: AbortSignal): Promise<void> {
  for await (const { eventType, filename } of watch(folder, { signal })) {
    if (eventType === "change" && filename === SOCKET) return
  }
}

const SOCKET = "agent.sock"
const WITHIN: Millis = 20_000
