import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type AssayServer, startAssayServer } from "../support/assay-process.ts"
import { startSdsFleet } from "../support/peers/load.ts"
import { BUILT_SERVER, makeBenchCluster } from "./bench-server.ts"
import { residentKib } from "./memory.ts"

export interface SdsFigures {
  readonly streams: number
  /** Of the server, for each idle stream, TLS connections included. */
  readonly kibPerStream: number
  /** From the change of the bundle to the last acknowledgement. */
  readonly fanOutSeconds: number
}

/** Remote SDS over TLS: `streams` idle streams on 100 connections, then one change of the bundle that all must acknowledge. */
export async function measureSds(streams: number): Promise<SdsFigures> {
  const folder = await mkdtemp(join(tmpdir(), "assay-bench-"))
  try {
    const cluster = await makeBenchCluster(folder)
    const federation = join(folder, "federated.json")
    await using other = await startAssayServer({}, BUILT_SERVER)
    await copyFile(other.bundleFile, federation)
    const config = { ...cluster.config, federation: [{ trust_domain: "other.example", bundle_file: federation }] }
    await using server = await startAssayServer(config, BUILT_SERVER)
    const ca = join(folder, "roots.pem")
    const tokens = join(folder, "tokens")
    await writeFile(ca, server.roots)
    await writeFile(tokens, cluster.makeToken())
    return await fanOut(server, { target: server.address, ca, tokens }, streams, federation)
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function fanOut(
  server: AssayServer,
  flags: { readonly target: string; readonly ca: string; readonly tokens: string },
  streams: number,
  federation: string,
): Promise<SdsFigures> {
  await warmUp(flags)
  const before = await residentKib(server.pid)
  const all = { ...flags, streams, conns: 100, names: "ALL", timeout: "60s" }
  const { fleet } = await startSdsFleet(all, 90_000)
  await using _ = fleet
  const after = await residentKib(server.pid)
  const acknowledged = await fleet.mark(60_000)
  await writeFile(federation, '{"keys":[]}')
  const { seconds } = await acknowledged()
  return { streams, kibPerStream: (after - before) / streams, fanOutSeconds: seconds }
}

/** Code that was never run is not memory of a stream. */
async function warmUp(flags: { readonly target: string; readonly ca: string; readonly tokens: string }): Promise<void> {
  const { fleet } = await startSdsFleet({ ...flags, streams: 100, conns: 10, names: "ALL" }, 30_000)
  await fleet[Symbol.asyncDispose]()
}
