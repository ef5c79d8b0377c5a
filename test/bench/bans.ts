import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openAdminClient } from "../../src/adapters/admin-client/open-admin-client.ts"
import { startAssayServer } from "../support/assay-process.ts"
import { SubscriberCrowd } from "../support/subscriber-crowd.ts"
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

/** Ban the namespace of `subscribers` pods with a subscription each; every one of them tries to renew when its stream ends. */
export async function measureBans(subscribers: number): Promise<BanFigures> {
  const folder = await mkdtemp(join(tmpdir(), "assay-bench-"))
  try {
    const cluster = await makeBenchCluster(folder)
    const socket = join(folder, "run", "admin.sock")
    await using server = await startAssayServer({ ...cluster.config, admin: { socket } }, BUILT_SERVER)
    const tokens = Array.from({ length: subscribers }, () => cluster.makeToken())
    using crowd = new SubscriberCrowd({ server, tokens, connections: 10 })
    await crowd.ready
    const input = { kind: "namespace", name: "bench/bench", reason: "bench", dry_run: false }
    const before = await cpuSeconds(server.pid)
    const begun = performance.now()
    const admin = openAdminClient({ kind: "socket", path: socket })
    await admin.call({ method: "POST", path: "/bans", input }, AbortSignal.timeout(TIMEOUT))
    const confirmed = performance.now()
    const partings = await crowd.partings
    const wrong = partings.find(({ reason, renewal }) => reason !== "banned" || renewal !== "banned")
    if (wrong !== undefined) throw new Error(`a subscriber went on: ${JSON.stringify(wrong)}`)
    const last = Math.max(...partings.map(({ at }) => at))
    return {
      subscribers,
      refusedSeconds: (last - begun) / 1000,
      confirmedSeconds: (confirmed - begun) / 1000,
      serverCpuSeconds: (await cpuSeconds(server.pid)) - before,
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

const TIMEOUT = 30_000
