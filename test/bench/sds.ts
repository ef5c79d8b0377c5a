import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type AssayServer, startAssayServer } from "../support/assay-process.ts"
import { startSdsFleet } from "../support/peers/load.ts"
import { RotationOperator } from "../support/rotation-mesh/rotation-operator.ts"
import { BUILT_SERVER, makeBenchCluster } from "./bench-server.ts"
import { residentKib } from "./memory.ts"
import { pushRotation, type RotationPush } from "./rotation-push.ts"

export interface SdsFigures {
  readonly streams: number
  /** Of the server, for each idle stream, TLS connections included. */
  readonly kibPerStream: number
  /** From the change of the bundle to the last acknowledgement. */
  readonly fanOutSeconds: number
  /** The same for a bundle of two roots, at the start of a rotation. */
  readonly push: RotationPush
  /** Of the server at the peak of that, for each stream. */
  readonly pushKibPerStream: number
}

/**
 * Remote SDS over TLS: `streams` idle streams on 100 connections with as many tokens, then a change of the bundle that all must
 * acknowledge, and then a rotation of the root.
 */
export async function measureSds(streams: number): Promise<SdsFigures> {
  const folder = await mkdtemp(join(tmpdir(), "assay-bench-"))
  try {
    const cluster = await makeBenchCluster(folder)
    const federation = join(folder, "federated.json")
    await using other = await startAssayServer({}, BUILT_SERVER)
    await copyFile(other.bundleFile, federation)
    const socket = join(folder, "admin.sock")
    const otherBundle = { trust_domain: "other.example", bundle_file: federation }
    const config = { ...cluster.config, admin: { socket }, federation: [otherBundle] }
    await using server = await startAssayServer(config, BUILT_SERVER)
    const ca = join(folder, "roots.pem")
    const tokens = join(folder, "tokens")
    await writeFile(ca, server.roots)
    await writeFile(tokens, Array.from({ length: CONNECTIONS }, () => cluster.makeToken()).join("\n"))
    const operator = new RotationOperator(socket)
    return await fanOut({ server, operator, federation }, { target: server.address, ca, tokens }, streams)
  } finally {
    await rm(folder, { recursive: true })
  }
}

interface Measured {
  readonly server: AssayServer
  readonly operator: RotationOperator
  /** File of a federated bundle. */
  readonly federation: string
}

async function fanOut(
  { server, operator, federation }: Measured,
  flags: { readonly target: string; readonly ca: string; readonly tokens: string },
  streams: number,
): Promise<SdsFigures> {
  await warmUp(flags)
  const before = await residentKib(server.pid)
  const all = { ...flags, streams, conns: CONNECTIONS, names: "ALL", timeout: "60s" }
  const { fleet } = await startSdsFleet(all, 90_000)
  await using _ = fleet
  const after = await residentKib(server.pid)
  const acknowledged = await fleet.mark(60_000)
  await writeFile(federation, '{"keys":[]}')
  const { seconds } = await acknowledged()
  const push = await pushRotation(operator, fleet, server.pid)
  return {
    streams,
    kibPerStream: (after - before) / streams,
    fanOutSeconds: seconds,
    push,
    pushKibPerStream: (push.peakKib - before) / streams,
  }
}

/** Code that was never run is not memory of a stream. */
async function warmUp(flags: { readonly target: string; readonly ca: string; readonly tokens: string }): Promise<void> {
  const { fleet } = await startSdsFleet({ ...flags, streams: 100, conns: 10, names: "ALL" }, 30_000)
  await fleet[Symbol.asyncDispose]()
}

const CONNECTIONS = 100
