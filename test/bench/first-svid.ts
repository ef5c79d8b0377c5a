import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { Millis } from "../../src/core/time.ts"
import { type AssayServer, startAssayServer } from "../support/assay-process.ts"
import { runToEnd } from "../support/peers/json-lines.ts"
import { makeScratch } from "../support/scratch.ts"
import { BUILT_AGENT, BUILT_SERVER, makeBenchCluster } from "./bench-server.ts"
import { measureColdStart } from "./cold-start.ts"

export interface FirstSvid {
  readonly p50Ms: Millis
  readonly p99Ms: Millis
  readonly pods: number
  /** The median with all that comes before: a process of Node that loads the program. */
  readonly coldMs: Millis
}

/**
 * From an agent that begins to run until its workload holds its first SVID: socket, bootstrap, TLS, attestation, key, issuance,
 * Workload API. Each of `pods` has a token and an agent of its own, one after the other, as an agent of a node meets them. The
 * agents have a process for themselves, as they have it where they run: in the bench's own, every few of them waited for the garbage
 * of what it had measured before. What Node takes to start is measured apart.
 */
export async function measureFirstSvid(pods: number, coldStarts: number): Promise<FirstSvid> {
  await using scratch = await makeScratch("bench")
  const folder = scratch.directory
  const cluster = await makeBenchCluster(folder)
  await using server = await startAssayServer(cluster.config, BUILT_SERVER)
  for (let pod = 0; pod < WARM_UP + pods; pod++) await writeFile(join(folder, `token${pod}`), cluster.makeToken())
  const times = await timesOf(server, folder, WARM_UP + pods)
  const at = (share: number): Millis => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
  const coldMs = await measureColdStart(server, join(folder, "token0"), coldStarts)
  return { p50Ms: at(0.5), p99Ms: at(0.99), pods, coldMs }
}

/** Shortest first. */
async function timesOf(server: AssayServer, folder: string, pods: number): Promise<readonly Millis[]> {
  const { address, trustDomain, bundleFile } = server
  const flags = BUILT_AGENT.filter((argument) => argument.startsWith("--"))
  const args = [...flags, AGENTS, address, trustDomain, bundleFile, folder, `${WARM_UP}`, `${pods}`]
  const { code, events, error } = await runToEnd({ name: "agents", command: process.execPath, args }, ALL_WITHIN)
  const times: unknown = events.find(({ event }) => event === "result")?.["times"]
  if (code !== 0 || !Array.isArray(times)) throw new Error(error)
  return times.map(Number).sort((a, b) => a - b)
}

const AGENTS = join(import.meta.dirname, "first-svid-agents.ts")
/** What the first few take is the compiler's. */
const WARM_UP = 10
const ALL_WITHIN: Millis = 120_000
