import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import { type Command, Option } from "commander"
import { makeVersionName } from "../../adapters/pem-files/version-name.ts"
import { openVersionedDirectory } from "../../adapters/pem-files/versioned-directory.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { keepFilesWritten, type WriteFilesDeps, writeFilesOnce } from "../../app/agent-files/write-files.ts"
import { stderrLog } from "./stderr-log.ts"
import { runWithWorkloadApi, type WorkloadOptions, withSocket } from "./workload-command.ts"

interface ExecOptions extends WorkloadOptions {
  readonly directory?: string
  readonly onRotation: "none" | "restart" | NodeJS.Signals
}

/** `assay exec -- command`: run a command with the files of its identity, and tell it when they change. @see CLI-06 */
export function registerExec(program: Command): void {
  withSocket(program.command("exec"))
    .description("run a command with ASSAY_SVID_FILE, ASSAY_SVID_KEY_FILE and ASSAY_BUNDLE_FILE set, and kept current")
    .option("-d, --directory <directory>", "where the files are; without it a temporary one")
    .addOption(
      new Option("--on-rotation <action>", "what the command gets at each change")
        .choices(["none", "restart", "SIGHUP", "SIGUSR1", "SIGUSR2"])
        .default("none"),
    )
    .argument("<command...>", "the command and its arguments, after --")
    .action(exec)
}

async function exec(command: readonly string[], options: ExecOptions): Promise<void> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), "assay-exec-")))
  try {
    await runWithWorkloadApi(options, (api, signal) => supervise(command, options, directory, api, signal))
  } finally {
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true })
  }
}

async function supervise(
  command: readonly string[],
  options: ExecOptions,
  directory: string,
  api: WriteFilesDeps["api"],
  stopped: AbortSignal,
): Promise<void> {
  const files = openVersionedDirectory(directory, makeVersionName)
  const deps = { api, files, clock: systemClock, log: stderrLog, changed: () => Promise.resolve() }
  await writeFilesOnce(deps, stopped)
  if (stopped.aborted) return
  using run = new SupervisedCommand(command, environment(options, directory))
  const ended = new AbortController()
  const writing = keepFilesWritten(
    { ...deps, changed: rotationHandler(run, options.onRotation) },
    AbortSignal.any([stopped, ended.signal]),
  ).catch((thrown: unknown) => stderrLog.error({ err: thrown }, "the files are no longer kept current"))
  stopped.addEventListener("abort", () => run.stop(), { once: true })
  process.exitCode = await run.exitCode()
  ended.abort()
  await writing
}

/** The first message repeats the files that the command started with. */
function rotationHandler(run: SupervisedCommand, action: ExecOptions["onRotation"]): () => Promise<void> {
  let first = true
  return async () => {
    if (!first && action === "restart") run.restart()
    else if (!first && action !== "none" && action !== "restart") run.kill(action)
    first = false
  }
}

function environment(options: ExecOptions, directory: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    SPIFFE_ENDPOINT_SOCKET: options.socket,
    ASSAY_SVID_FILE: join(directory, "svid.pem"),
    ASSAY_SVID_KEY_FILE: join(directory, "svid_key.pem"),
    ASSAY_BUNDLE_FILE: join(directory, "bundle.pem"),
  }
}

/** One command that may be started anew. Signals that a terminal or supervisor sends go on to it. */
class SupervisedCommand implements Disposable {
  readonly #start: () => ChildProcess
  readonly #forward: (signal: NodeJS.Signals) => void
  #child: ChildProcess
  #restarting = false

  constructor([program, ...args]: readonly string[], env: NodeJS.ProcessEnv) {
    if (program === undefined) throw new RangeError("no command")
    this.#start = () => spawn(program, args, { stdio: "inherit", env })
    this.#child = this.#start()
    this.#forward = (signal) => this.kill(signal)
    for (const signal of FORWARDED) process.on(signal, this.#forward)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  restart(): void {
    this.#restarting = true
    this.kill("SIGTERM")
  }

  stop(): void {
    this.#restarting = false
    this.kill("SIGTERM")
  }

  /** Of the run that was not ended by {@link restart}: its code, or 128 + the signal's number. */
  async exitCode(): Promise<number> {
    for (;;) {
      const code = await exitOf(this.#child)
      if (!this.#restarting) return code
      this.#restarting = false
      this.#child = this.#start()
    }
  }

  [Symbol.dispose](): void {
    for (const signal of FORWARDED) process.off(signal, this.#forward)
  }
}

async function exitOf(child: ChildProcess): Promise<number> {
  try {
    await once(child, "exit")
  } catch (cause) {
    stderrLog.error({ err: cause }, "the command did not start")
    return EXIT_NOT_FOUND
  }
  if (child.exitCode !== null) return child.exitCode
  return 128 + constants.signals[child.signalCode ?? "SIGKILL"]
}

const FORWARDED = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"] as const
const EXIT_NOT_FOUND = 127
