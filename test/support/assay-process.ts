import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { encodePem } from "../../src/core/x509/pem.ts"
import { Child } from "./peers/child.ts"
import { scratchFolder } from "./peers/scratch.ts"

/** A real `assay server` in a process of its own, with a new trust domain. */
export interface AssayServer extends AsyncDisposable {
  readonly name: string
  readonly trustDomain: string
  /** `127.0.0.1:<port>` of the gRPC listener. */
  readonly address: string
  /** SPIFFE bundle document, for agents. */
  readonly bundleFile: string
  /** PEM of the root authorities. */
  readonly roots: string
  readonly pid: number
  logTail(characters?: number): string
}

/** Make a trust domain and serve it. `config` is laid over one that has all but clusters; keys as in the file. `cli`: which program. */
export async function startAssayServer(config: Readonly<Record<string, unknown>>, cli = CLI): Promise<AssayServer> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await scratchFolder("server"))
  const file = join(folder.path, "assay.yaml")
  const trustDomain = "test.example"
  await writeFile(file, JSON.stringify({ ...serverDefaults(folder.path, trustDomain), ...config }))
  const { stdout } = await run(process.execPath, [cli, "init", "--config", file, "--make-sealing-key"])
  const bundleFile = join(folder.path, "bundle.json")
  await writeFile(bundleFile, stdout)
  const child = stack.use(
    new Child({
      name: "assay server",
      command: process.execPath,
      args: [cli, "server", "--config", file],
      log: join(folder.path, "server.log"),
    }),
  )
  const listens = await child.until("listening", async () => findLine(child, "server listens"), READY_MILLIS)
  const moved = stack.move()
  return {
    name: child.name,
    trustDomain,
    address: `127.0.0.1:${String(listens["grpc"])}`,
    bundleFile,
    roots: rootsOf(stdout),
    pid: child.pid,
    logTail: (characters) => child.logTail(characters),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

/** A real `assay agent` in a process of its own. */
export interface AssayAgent extends AsyncDisposable {
  readonly name: string
  /** Path of the socket of Workload API and SDS. */
  readonly socket: string
  readonly pid: number
  logTail(characters?: number): string
}

/** Start an agent that proves itself with the token in `tokenFile`. */
export async function startAssayAgent(
  server: AssayServer,
  name: string,
  tokenFile: string,
  cli = CLI,
): Promise<AssayAgent> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await scratchFolder("agent"))
  const socket = join(folder.path, "agent.sock")
  const file = join(folder.path, "agent.yaml")
  const config = {
    trust_domain: server.trustDomain,
    server: { address: server.address },
    bootstrap: { bundle_file: server.bundleFile },
    token_file: tokenFile,
    socket: { path: socket },
    name,
  }
  await writeFile(file, JSON.stringify(config))
  const child = stack.use(
    new Child({
      name: `assay agent ${name}`,
      command: process.execPath,
      args: [cli, "agent", "--config", file],
      log: join(folder.path, "agent.log"),
    }),
  )
  await child.until("listening", async () => findLine(child, "agent listens"), READY_MILLIS)
  const moved = stack.move()
  return {
    name: child.name,
    socket,
    pid: child.pid,
    logTail: (characters) => child.logTail(characters),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

function serverDefaults(folder: string, trustDomain: string): object {
  return {
    trust_domain: trustDomain,
    listen: { grpc: "127.0.0.1:0", health: "127.0.0.1:0" },
    serving: { dns_names: ["localhost"], ip_addresses: ["127.0.0.1"] },
    storage: { sqlite: join(folder, "assay.db") },
    keys: { directory: join(folder, "keys"), sealing_key_file: join(folder, "sealing.key") },
  }
}

/** The first log line with this message, as its fields. */
function findLine(child: Child, message: string): Readonly<Record<string, unknown>> | undefined {
  for (const line of child.logTail(LOG_CHARACTERS).split("\n")) {
    if (!line.includes(`"${message}"`)) continue
    const parsed: unknown = JSON.parse(line)
    if (typeof parsed === "object" && parsed !== null) return { ...parsed }
  }
  return undefined
}

/** PEM of the X.509 authorities of a SPIFFE bundle document. */
function rootsOf(document: string): string {
  const parsed: unknown = JSON.parse(document)
  const keys = typeof parsed === "object" && parsed !== null && "keys" in parsed ? parsed.keys : undefined
  if (!Array.isArray(keys)) throw new TypeError(`no bundle document: ${document}`)
  return keys
    .map((key: unknown) => (typeof key === "object" && key !== null && "x5c" in key ? key.x5c : undefined))
    .filter((x5c) => Array.isArray(x5c))
    .map((x5c) => encodePem("CERTIFICATE", Buffer.from(String(x5c[0]), "base64")))
    .join("")
}

const run = promisify(execFile)
const CLI = join(import.meta.dirname, "../../src/main/cli.ts")
const READY_MILLIS = 30_000
const LOG_CHARACTERS = 256 * 1024
