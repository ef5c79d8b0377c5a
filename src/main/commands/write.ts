import { type Command, Option } from "commander"
import { makeVersionName } from "../../adapters/pem-files/version-name.ts"
import { openVersionedDirectory } from "../../adapters/pem-files/versioned-directory.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { keepFilesWritten, type WriteFilesDeps, writeFilesOnce } from "../../app/agent-files/write-files.ts"
import { makeNotifier } from "./notify-process.ts"
import { stderrLog } from "./stderr-log.ts"
import { runWithWorkloadApi, type WorkloadOptions, withSocket } from "./workload-command.ts"

interface WriteOptions extends WorkloadOptions {
  readonly directory: string
  readonly once?: true
  readonly signal: NodeJS.Signals
  readonly pidFile?: string
  readonly exec?: string
}

/** `assay write`: keep PEM files current for programs that read files. @see CLI-04 CLI-05 */
export function registerWrite(program: Command): void {
  withSocket(program.command("write"))
    .description("write the default identity as PEM files, and again at each change, all files at one moment")
    .requiredOption("-d, --directory <directory>", "where svid.pem, svid_key.pem and bundle.pem appear")
    .option("--once", "write once and end")
    .addOption(
      new Option("--signal <signal>", "signal for the process in --pid-file")
        .choices(["SIGHUP", "SIGUSR1", "SIGUSR2"])
        .default("SIGHUP"),
    )
    .option("--pid-file <file>", "file with the pid to signal after each change")
    .addOption(new Option("--exec <command>", "shell command to run after each change").conflicts("pidFile"))
    .action(write)
}

function write(options: WriteOptions): Promise<void> {
  return runWithWorkloadApi(options, async (api, signal) => {
    const deps: WriteFilesDeps = {
      api,
      files: openVersionedDirectory(options.directory, makeVersionName),
      clock: systemClock,
      log: stderrLog,
      changed: makeNotifier(options),
    }
    await (options.once ? writeFilesOnce(deps, signal) : keepFilesWritten(deps, signal))
  })
}
