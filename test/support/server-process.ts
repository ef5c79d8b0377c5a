import { execFile } from "node:child_process"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { parseBundle } from "../../src/core/spiffe/bundle-document.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { Child } from "./peers/child.ts"
import type { ServerSetup } from "./server-setup.ts"

/** `assay server` in a process of its own, as `node src/main/cli.ts server -c …` starts it. */
export interface ServerProcess extends AsyncDisposable {
  readonly name: string
  /** `127.0.0.1:<port>` of the gRPC listener. */
  readonly address: string
  readonly port: number
  readonly healthUrl: string
  /** Of the HTTPS listener; `undefined` when there is none. */
  readonly httpsPort: number | undefined
  readonly pid: number
  /** False once it has ended. */
  readonly running: boolean
  /** Of a process that ended by itself. */
  readonly exitCode: number | null
  signal(name: NodeJS.Signals): void
  /** All that it logged. */
  log(): string
  logTail(characters?: number): string
}

/** Where the files of a server are. */
export type ServerPlace = Pick<ServerSetup, "folder" | "configFile" | "trustDomain">

/** `assay init` over a setup. The SPIFFE bundle document is written to `bundleFile`; `roots` is the PEM of its authorities. */
export async function initTrustDomain(
  setup: ServerPlace,
  program = PROGRAM,
): Promise<{ readonly bundleFile: string; readonly roots: string }> {
  const { stdout } = await run(process.execPath, [...program, "init", "--config", setup.configFile])
  const bundleFile = join(setup.folder, "bundle.json")
  await writeFile(bundleFile, stdout)
  const bundle = parseBundle(stdout, parseTrustDomain(setup.trustDomain))
  return { bundleFile, roots: bundle.x509Authorities.map((der) => encodePem("CERTIFICATE", der)).join("") }
}

/** Start a server over what `assay init` made, and wait until it listens. `program`: arguments of Node that start the command line. */
export async function startServerProcess(setup: ServerPlace, program = PROGRAM): Promise<ServerProcess> {
  await using stack = new AsyncDisposableStack()
  const log = join(setup.folder, "server.log")
  // A server that ran here before has written to it too.
  const before = startsIn(await readFile(log, "utf8").catch(() => ""))
  const args = [...program, "server", "--config", setup.configFile]
  const child = stack.use(new Child({ name: "assay server", command: process.execPath, args, log }))
  const listening = async () => {
    const text = child.logTail(LOG_CHARACTERS)
    return startsIn(text) > before ? portsOf(text) : undefined
  }
  const ports = await child.until("listening", listening, READY_MILLIS)
  const moved = stack.move()
  return {
    name: child.name,
    port: ports.grpc,
    address: `127.0.0.1:${ports.grpc}`,
    httpsPort: ports.https,
    healthUrl: `http://127.0.0.1:${ports.health}`,
    pid: child.pid,
    get running() {
      return child.running
    },
    get exitCode() {
      return child.exitCode
    },
    signal: (signal) => child.signal(signal),
    log: () => child.logTail(LOG_CHARACTERS),
    logTail: (characters) => child.logTail(characters),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

function startsIn(log: string): number {
  return log.split('"server listens"').length - 1
}

function portsOf(log: string): { readonly grpc: number; readonly health: number; readonly https?: number } | undefined {
  const line = log.split("\n").findLast((one) => one.includes('"server listens"')) ?? ""
  const portOf = (name: string) => Number(new RegExp(`"${name}":(\\d+)`).exec(line)?.[1] ?? 0)
  const [grpc, health, https] = ["grpc", "health", "https"].map(portOf)
  if (!grpc || !health) return undefined
  return https ? { grpc, health, https } : { grpc, health }
}

const run = promisify(execFile)
const PROGRAM: readonly string[] = [join(import.meta.dirname, "../../src/main/cli.ts")]
const READY_MILLIS = 90_000
const LOG_CHARACTERS = 4 * 1024 * 1024
