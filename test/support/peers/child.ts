import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, existsSync, openSync, readFileSync } from "node:fs"
import type { TestContext } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import { watchOver } from "./live-children.ts"

export interface ChildOptions {
  /** For messages. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Added to the environment of the test. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** File that gets standard output and standard error. */
  readonly log: string
}

/** A long-running peer with its output in a file. Disposing stops it by its own handle and waits for its end. */
export class Child implements AsyncDisposable {
  readonly name: string
  readonly #process: ChildProcess
  readonly #log: string
  #failure: Error | undefined
  /** The end of a log whose folder may be gone when somebody asks why. */
  #kept = ""

  constructor(options: ChildOptions) {
    this.name = options.name
    this.#log = options.log
    const log = openSync(options.log, "a")
    const env = { ...process.env, ...options.env }
    const cwd = options.cwd === undefined ? {} : { cwd: options.cwd }
    this.#process = spawn(options.command, options.args, { ...cwd, env, stdio: ["ignore", log, log] })
    closeSync(log)
    this.#process.once("error", (failure) => {
      this.#failure = failure
    })
    watchOver(this.#process)
  }

  get pid(): number {
    const { pid } = this.#process
    if (pid === undefined) throw new Error(`${this.name} did not start: ${String(this.#failure)}`)
    return pid
  }

  /** False once it has ended or could not be started. */
  get running(): boolean {
    return this.#failure === undefined && this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** Of a process that ended by itself. */
  get exitCode(): number | null {
    return this.#process.exitCode
  }

  /** The end of the log, for messages. */
  logTail(characters = TAIL_CHARACTERS): string {
    return (existsSync(this.#log) ? readFileSync(this.#log, "utf8") : this.#kept).slice(-characters)
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name)
  }

  /**
   * Ask `ready` until it answers something other than undefined.
   * @throws Error with the end of the log when the process ended first or the time was up
   */
  async until<T>(what: string, ready: () => Promise<T | undefined>, millis: number): Promise<T> {
    const deadline = performance.now() + millis
    let last: unknown
    while (this.running && performance.now() < deadline) {
      const answer = await ready().catch((failure: unknown) => {
        last = failure
        return undefined
      })
      if (answer !== undefined) return answer
      await delay(POLL_MILLIS)
    }
    const how = this.running ? `not ${what} within ${millis} ms` : `ended before it was ${what}`
    throw new Error(`${this.name}: ${how}\n${this.logTail()}`, { cause: last ?? this.#failure })
  }

  /** Wait for its end. @returns exit code; `undefined` when a signal ended it */
  async ended(millis: number): Promise<number | undefined> {
    if (this.running) await once(this.#process, "exit", { signal: AbortSignal.timeout(millis) })
    return this.#process.exitCode ?? undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) await this.#stop()
    this.#kept = this.logTail()
  }

  async #stop(): Promise<void> {
    const ended = once(this.#process, "exit")
    const kill = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MILLIS)
    this.#process.kill("SIGTERM")
    await ended
    clearTimeout(kill)
  }
}

/** When the test fails, print the end of the logs of its peers. */
export function showLogsOnFailure(
  t: TestContext,
  ...peers: readonly { logTail(): string; readonly name: string }[]
): void {
  t.after(() => {
    if (t.passed) return
    for (const peer of peers) t.diagnostic(`log of ${peer.name}:\n${peer.logTail()}`)
  })
}

const POLL_MILLIS = 50
const STOP_MILLIS = 20_000
const TAIL_CHARACTERS = 4_000
