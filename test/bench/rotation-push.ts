import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startAssayServer } from "../support/assay-process.ts"
import { type SdsFleet, startSdsFleet } from "../support/peers/load.ts"
import { RotationOperator } from "../support/rotation-mesh/rotation-operator.ts"
import { until } from "../support/until.ts"
import { BUILT_SERVER, makeBenchCluster } from "./bench-server.ts"
import { forgetPeak, peakKib } from "./memory.ts"

/** The bundle of both roots on its way to everybody. */
export interface RotationPush {
  /** From the operator's step to the last acknowledgement. */
  readonly seconds: number
  /** The most memory that the server had meanwhile. */
  readonly peakKib: number
}

export interface SmallPush {
  readonly streams: number
  readonly push: RotationPush
  /** From the declaration that the root is stolen until the last stream acknowledged a bundle without it. */
  readonly emergencySeconds: number
}

/** Begin a rotation and push the bundle of both roots to all streams of `fleet`. */
export async function pushRotation(operator: RotationOperator, fleet: SdsFleet, pid: number): Promise<RotationPush> {
  await operator.start(false)
  await until("the new root", async () => (await operator.status()).phase === "keyed")
  await forgetPeak(pid)
  const acknowledged = await fleet.mark(PUSH_MILLIS)
  await operator.advance()
  const { seconds } = await acknowledged()
  return { seconds, peakKib: await peakKib(pid) }
}

/** `streams` subscribers, each with a token of its own, an SVID and the bundle; first a rotation, then the root is stolen. */
export async function measureSmallPush(streams: number): Promise<SmallPush> {
  const folder = await mkdtemp(join(tmpdir(), "assay-bench-"))
  try {
    const cluster = await makeBenchCluster(folder)
    const socket = join(folder, "admin.sock")
    await using server = await startAssayServer({ ...cluster.config, admin: { socket } }, BUILT_SERVER)
    const [ca, tokens] = [join(folder, "roots.pem"), join(folder, "tokens")]
    await writeFile(ca, server.roots)
    await writeFile(tokens, Array.from({ length: streams }, () => cluster.makeToken()).join("\n"))
    const flags = { target: server.address, ca, tokens, streams, conns: 100, names: "default,ROOTCA", timeout: "60s" }
    const { fleet } = await startSdsFleet(flags, PUSH_MILLIS)
    await using _ = fleet
    const operator = new RotationOperator(socket)
    const push = await pushRotation(operator, fleet, server.pid)
    const acknowledged = await fleet.mark(PUSH_MILLIS)
    await operator.emergency("measured")
    return { streams, push, emergencySeconds: (await acknowledged()).seconds }
  } finally {
    await rm(folder, { recursive: true })
  }
}

const PUSH_MILLIS = 90_000
