import { spawn } from "node:child_process"
import { once } from "node:events"
import { IdentityError } from "../../core/errors.ts"
import { readNamedFile } from "../config/read-config-file.ts"

export interface NotifyOptions {
  readonly signal: NodeJS.Signals
  readonly pidFile?: string
  readonly exec?: string
}

/** How a program is told that its files changed. */
export function makeNotifier({ signal, pidFile, exec }: NotifyOptions): (stopped: AbortSignal) => Promise<void> {
  if (exec !== undefined) return (stopped) => runShell(exec, stopped)
  if (pidFile !== undefined) return () => signalPid(pidFile, signal)
  return () => Promise.resolve()
}

/** The file is read at each change, since a restarted program has another pid. */
async function signalPid(file: string, signal: NodeJS.Signals): Promise<void> {
  const text = (await readNamedFile("pid file", file)).trim()
  // Zero and negative numbers would address whole process groups.
  if (!/^[1-9]\d{0,9}$/.test(text))
    throw new IdentityError("malformed", `${file} does not hold a pid: a number above 0`)
  process.kill(Number(text), signal)
}

async function runShell(command: string, stopped: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([stopped, AbortSignal.timeout(LONGEST_RUN)])
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["ignore", "inherit", "inherit"], signal: limit })
  const [code] = await once(child, "exit")
  if (code !== 0) throw new IdentityError("not-ready", `the command ended with ${String(code)}`)
}

const LONGEST_RUN = 60_000
