import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Child } from "./peers/child.ts"
import { makeScratch } from "./scratch.ts"
import { initTrustDomain, startServerProcess } from "./server-process.ts"
import { makeServerSetup } from "./server-setup.ts"

/** A real `assay server` in a process of its own, with a new trust domain. */
export interface AssayServer extends AsyncDisposable {
  readonly name: string
  readonly trustDomain: string
  /** `127.0.0.1:<port>` of the gRPC listener. */
  readonly address: string
  /** Of the HTTPS listener; `undefined` when there is none. */
  readonly httpsPort: number | undefined
  /** SPIFFE bundle document, for agents. */
  readonly bundleFile: string
  /** PEM of the root authorities. */
  readonly roots: string
  readonly pid: number
  logTail(characters?: number): string
}

/** Make a trust domain and serve it. `config` is laid over one that has all but clusters; keys as in the file. `program`: arguments of Node that start the command line. */
export async function startAssayServer(
  config: Readonly<Record<string, unknown>>,
  program = PROGRAM,
): Promise<AssayServer> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeScratch("server"))
  const setup = await makeServerSetup(folder.directory, { trust_domain: "test.example", clusters: [], ...config })
  const trust = await initTrustDomain(setup, program)
  const server = stack.use(await startServerProcess(setup, program))
  const moved = stack.move()
  return {
    ...trust,
    name: server.name,
    trustDomain: setup.trustDomain,
    address: server.address,
    httpsPort: server.httpsPort,
    pid: server.pid,
    logTail: (characters) => server.logTail(characters),
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
  program = PROGRAM,
): Promise<AssayAgent> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeScratch("agent"))
  const socket = folder.path("agent.sock")
  const file = folder.path("agent.yaml")
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
      args: [...program, "agent", "--config", file],
      log: folder.path("agent.log"),
    }),
  )
  const listens = async () => child.logTail(LOG_CHARACTERS).includes('"agent listens"') || undefined
  await child.until("listening", listens, READY_MILLIS)
  const moved = stack.move()
  return {
    name: child.name,
    socket,
    pid: child.pid,
    logTail: (characters) => child.logTail(characters),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

const PROGRAM: readonly string[] = [join(import.meta.dirname, "../../src/main/cli.ts")]
const READY_MILLIS = 90_000
const LOG_CHARACTERS = 256 * 1024
