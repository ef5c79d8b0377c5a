import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Command, Option } from "commander"
import { makeVersionName } from "../../adapters/pem-files/version-name.ts"
import { openVersionedDirectory } from "../../adapters/pem-files/versioned-directory.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { keepFilesWritten, type WriteFilesDeps, writeFilesOnce } from "../../app/agent-files/write-files.ts"
import { stderrLog } from "./stderr-log.ts"
import { type RotationAction, SupervisedCommand } from "./supervised-command.ts"
import { runWithWorkloadApi, type WorkloadOptions, withSocket } from "./workload-command.ts"

interface ExecOptions extends WorkloadOptions {
  readonly directory?: string
  readonly onRotation: RotationAction
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
  const written = await writeFilesOnce(deps, stopped)
  if (stopped.aborted) return
  using run = new SupervisedCommand(command, environment(options, directory))
  const ended = new AbortController()
  const writing = keepFilesWritten(
    { ...deps, changed: async () => run.filesChanged(options.onRotation) },
    AbortSignal.any([stopped, ended.signal]),
    written,
  ).catch((thrown: unknown) => stderrLog.error({ err: thrown }, "the files are no longer kept current"))
  stopped.addEventListener("abort", () => run.stop(), { once: true })
  process.exitCode = await run.exitCode()
  ended.abort()
  await writing
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
