import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Child } from "./peers/child.ts"

/** What an agent is to be told. Its files are in `folder`, which is made. */
export interface AgentTerms {
  readonly name: string
  readonly folder: string
  readonly trustDomain: string
  /** `host:port` of the server. */
  readonly server: string
  readonly bundleFile: string
  /** What is in the token file at first. */
  readonly token: string
  /** Default 5s. */
  readonly drain?: string
  /** More keys of its file. */
  readonly config?: Readonly<Record<string, unknown>>
}

/** `assay agent` in a process of its own. */
export interface AgentProcess extends AsyncDisposable {
  readonly name: string
  /** Path of its socket. */
  readonly socket: string
  readonly tokenFile: string
  readonly running: boolean
  signal(name: NodeJS.Signals): void
  /** Wait for its end. @returns exit code; `undefined` when a signal ended it */
  ended(): Promise<number | undefined>
  /** All that it logged. */
  log(): string
  logTail(characters?: number): string
}

/** Start an agent and wait until its socket takes connections. */
export async function startAgentProcess(terms: AgentTerms): Promise<AgentProcess> {
  const { name, folder } = terms
  await mkdir(folder, { recursive: true })
  const socket = join(folder, "a.sock")
  const tokenFile = join(folder, "token")
  await writeFile(tokenFile, terms.token)
  const config = {
    trust_domain: terms.trustDomain,
    server: { address: terms.server },
    bootstrap: { bundle_file: terms.bundleFile },
    token_file: tokenFile,
    socket: { path: socket },
    drain: { timeout: terms.drain ?? "5s" },
    name,
    ...terms.config,
  }
  const file = join(folder, "agent.yaml")
  await writeFile(file, JSON.stringify(config))
  await using stack = new AsyncDisposableStack()
  const args = [CLI, "agent", "--config", file]
  const child = stack.use(
    new Child({ name: `assay agent ${name}`, command: process.execPath, args, log: join(folder, "agent.log") }),
  )
  const listens = async () => (child.logTail(LOG_CHARACTERS).includes('"agent listens"') ? true : undefined)
  await child.until("listening", listens, READY_MILLIS)
  const moved = stack.move()
  return {
    name: child.name,
    socket,
    tokenFile,
    get running() {
      return child.running
    },
    signal: (signal) => child.signal(signal),
    ended: () => child.ended(END_MILLIS),
    log: () => child.logTail(LOG_CHARACTERS),
    logTail: (characters) => child.logTail(characters),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

const CLI = join(import.meta.dirname, "../../src/main/cli.ts")
const READY_MILLIS = 90_000
const END_MILLIS = 60_000
const LOG_CHARACTERS = 4 * 1024 * 1024
