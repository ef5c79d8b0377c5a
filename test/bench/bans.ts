import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { openAdminClient } from "../../src/adapters/admin-client/open-admin-client.ts"
import { startAssayServer } from "../support/assay-process.ts"
import { type SubscriberFleet, startSubscriberFleet } from "../support/peers/load.ts"
import { makeScratch } from "../support/scratch.ts"
import { BUILT_SERVER, makeBenchCluster } from "./bench-server.ts"
import { cpuSeconds } from "./cpu.ts"

export interface BanFigures {
  readonly subscribers: number
  /** From the operator's request until the last of them had ended its stream, asked for a renewal, and was refused. */
  readonly refusedSeconds: number
  /** The same until the operator had the answer, which waits for the streams for a second. */
  readonly confirmedSeconds: number
  /** Processor time of the server until the last refusal. */
  readonly serverCpuSeconds: number
}

/**
 * Ban the namespace of `subscribers` pods with a subscription each; every one of them tries to renew when its stream ends. They are a
 * compiled client: a Node one in this process took as long as the server did to hear that it was refused.
 */
export async function measureBans(subscribers: number): Promise<BanFigures> {
  await using scratch = await makeScratch("bench")
  const folder = scratch.directory
  const cluster = await makeBenchCluster(folder)
  const socket = join(folder, "run", "admin.sock")
  await using server = await startAssayServer({ ...cluster.config, admin: { socket } }, BUILT_SERVER)
  const ca = join(folder, "roots.pem")
  const tokens = join(folder, "tokens")
  await writeFile(ca, server.roots)
  await writeFile(tokens, Array.from({ length: subscribers }, () => cluster.makeToken()).join("\n"))
  await using fleet = await startSubscriberFleet({ target: server.address, ca, tokens, conns: 10 }, TIMEOUT)
  return await ban(server.pid, socket, fleet, subscribers)
}

async function ban(pid: number, socket: string, fleet: SubscriberFleet, subscribers: number): Promise<BanFigures> {
  const input = { kind: "namespace", name: "bench/bench", reason: "bench", dry_run: false }
  const before = await cpuSeconds(pid)
  const parted = await fleet.mark(TIMEOUT)
  const begun = performance.now()
  const admin = openAdminClient({ kind: "socket", path: socket })
  await admin.call({ method: "POST", path: "/bans", input }, AbortSignal.timeout(TIMEOUT))
  const confirmedSeconds = (performance.now() - begun) / 1000
  const { seconds, outcomes } = await parted()
  if (outcomes["evicted banned banned"] !== subscribers) {
    throw new Error(`a subscriber went on: ${JSON.stringify(outcomes)}`)
  }
  return {
    subscribers,
    refusedSeconds: seconds,
    confirmedSeconds,
    serverCpuSeconds: (await cpuSeconds(pid)) - before,
  }
}

const TIMEOUT = 30_000
