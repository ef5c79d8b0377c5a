import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { setTimeout as delay } from "node:timers/promises"
import type { Millis } from "../../core/time.ts"

export interface ChildOptions {
  /** For messages. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** File that gets standard output and standard error. */
  readonly log: string
}

/** A process of the demo. Disposing stops it by its own handle, first politely, and waits for its end. */
export class DemoProcess implements AsyncDisposable {
  readonly name: string
  readonly logFile: string
  readonly #process: ChildProcess
  #failure: Error | undefined

  constructor({ name, command, args, log }: ChildOptions) {
    this.name = name
    this.logFile = log
    const output = openSync(log, "a", 0o600)
    this.#process = spawn(command, args, { stdio: ["ignore", output, output] })
    closeSync(output)
    this.#process.once("error", (failure) => {
      this.#failure = failure
    })
    process.once("exit", this.#kill)
  }

  /** @throws Error when it could not be started */
  get pid(): number {
    const { pid } = this.#process
    if (pid === undefined) throw new Error(`${this.name} did not start`, { cause: this.#failure })
    return pid
  }

  get running(): boolean {
    return this.#failure === undefined && this.#process.exitCode === null && this.#process.signalCode === null
  }

  /**
   * Ask `ready` until it answers something. @param what it is then, for the message
   * @throws Error with the end of the log when it ended before that or was not ready within {@link READY_MILLIS}
   */
  async until<T>(what: string, ready: () => Promise<T | undefined>, signal: AbortSignal): Promise<T> {
    const deadline = performance.now() + READY_MILLIS
    let cause: unknown
    while (this.running && performance.now() < deadline) {
      try {
        const answer = await ready()
        if (answer !== undefined) return answer
      } catch (thrown) {
        cause = thrown
      }
      await delay(POLL_MILLIS, undefined, { signal })
    }
    const how = this.running ? `was not ${what} within ${READY_MILLIS} ms` : `ended before it was ${what}`
    throw new Error(`${this.name} ${how}: ${await this.#logTail()}`, { cause: this.#failure ?? cause })
  }

  /** Wait for a line of its log, which is JSON lines. @returns the fields of the first one with this message */
  async untilLogged(message: string, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    return this.until(
      `ready ("${message}")`,
      async () => {
        const line = (await readFile(this.logFile, "utf8")).split("\n").find((text) => text.includes(`"${message}"`))
        return line === undefined ? undefined : fieldsOf(line)
      },
      signal,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#kill)
    if (!this.running) return
    const ended = once(this.#process, "exit")
    const late = setTimeout(this.#kill, STOP_MILLIS)
    this.#process.kill("SIGTERM")
    await ended
    clearTimeout(late)
  }

  async #logTail(): Promise<string> {
    const text = await readFile(this.logFile, "utf8")
    return text.trim().split("\n").slice(-TAIL_LINES).join("\n").slice(-TAIL_CHARACTERS)
  }

  /** For when the demo itself ends in a way that disposes of nothing. */
  readonly #kill = (): void => {
    this.#process.kill("SIGKILL")
  }
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> {
  const parsed: unknown = JSON.parse(line)
  if (typeof parsed !== "object" || parsed === null) throw new TypeError("not a log line")
  return { ...parsed }
}

const READY_MILLIS: Millis = 30_000
const POLL_MILLIS: Millis = 10
const STOP_MILLIS: Millis = 5_000
const TAIL_LINES = 5
const TAIL_CHARACTERS = 2_000
