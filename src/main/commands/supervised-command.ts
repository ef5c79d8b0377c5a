import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { constants } from "node:os"
import { stderrLog } from "./stderr-log.ts"

/** What a command gets when its files changed. */
export type RotationAction = "none" | "restart" | NodeJS.Signals

/** One command that may be started anew. Signals that a terminal or supervisor sends go on to it. @see CLI-06 */
export class SupervisedCommand implements Disposable {
  readonly #start: () => ChildProcess
  readonly #forward: (signal: NodeJS.Signals) => void
  #child: ChildProcess
  #restarting = false
  #stopping = false

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

  /** Once it was asked to stop it hears of no change, and is not started again: one may have been on its way. */
  filesChanged(action: RotationAction): void {
    if (this.#stopping || action === "none") return
    this.#restarting ||= action === "restart"
    this.kill(action === "restart" ? "SIGTERM" : action)
  }

  stop(): void {
    this.#stopping = true
    this.#restarting = false
    this.kill("SIGTERM")
  }

  /** Of the run that was not ended to be started anew: its code, or 128 + the signal's number. */
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
