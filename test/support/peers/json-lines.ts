import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { watchOver } from "./live-children.ts"

/** One line of a peer that reports in JSON. */
export type JsonEvent = Readonly<Record<string, unknown>> & { readonly event: string }

export interface JsonPeerOptions {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Written to standard input, which is then closed. Without it, standard input stays open for `write`. */
  readonly input?: string
}

/** A client program under test that prints one JSON object a line. */
export class JsonPeer implements AsyncDisposable {
  readonly name: string
  readonly #process: ChildProcess
  readonly #events: JsonEvent[] = []
  readonly #ended: Promise<number>
  #changed = Promise.withResolvers<void>()
  #over = false
  #noise = ""

  constructor(options: JsonPeerOptions) {
    this.name = options.name
    const env = { ...process.env, ...options.env }
    const child = spawn(options.command, options.args, { env, stdio: ["pipe", "pipe", "pipe"] })
    this.#process = child
    if (options.input !== undefined) child.stdin.end(options.input)
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      this.#noise = (this.#noise + chunk).slice(-KEPT_NOISE)
    })
    createInterface({ input: child.stdout }).on("line", (line) => this.#take(line))
    this.#ended = once(child, "close").then(([code]: unknown[]) => this.#end(code))
    watchOver(child)
  }

  /** Everything printed so far, at most {@link KEPT_EVENTS}. */
  get events(): readonly JsonEvent[] {
    return this.#events
  }

  /** The exit status, once it has ended by itself; 128 when it was ended by a signal. */
  get ended(): Promise<number> {
    return this.#ended
  }

  /** The first event from the `from`-th on that `wanted` accepts. @throws Error at its end or when the time is up */
  async waitFor(wanted: (event: JsonEvent) => boolean, millis: number, from = 0): Promise<JsonEvent> {
    const late = AbortSignal.timeout(millis)
    const expired = once(late, "abort")
    for (;;) {
      const found = this.#events.slice(from).find(wanted)
      if (found !== undefined) return found
      if (this.#over) throw new Error(`${this.name} ended before the event came\n${this.logTail()}`)
      if (late.aborted) throw new Error(`${this.name}: no such event within ${millis} ms\n${this.logTail()}`)
      await Promise.race([this.#changed.promise, expired])
    }
  }

  write(line: string): void {
    this.#process.stdin?.write(`${line}\n`)
  }

  logTail(): string {
    return [...this.#events.slice(-20).map((event) => JSON.stringify(event)), this.#noise].join("\n")
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return
    const kill = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MILLIS)
    this.#process.kill("SIGTERM")
    await this.#ended
    clearTimeout(kill)
  }

  #take(line: string): void {
    if (this.#events.length >= KEPT_EVENTS) return
    const event: unknown = JSON.parse(line)
    if (!isEvent(event)) throw new TypeError(`${this.name} printed a line that is no event: ${line}`)
    this.#events.push(event)
    this.#wake()
  }

  #end(code: unknown): number {
    this.#over = true
    this.#wake()
    return typeof code === "number" ? code : 128
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}

/** A field of an event that is text. @throws TypeError when it is not */
export function textOf(event: JsonEvent | undefined, name: string): string {
  const value = event?.[name]
  if (typeof value !== "string") throw new TypeError(`no text ${name} in ${JSON.stringify(event)}`)
  return value
}

/** What a command printed, when it ran to its end. */
export interface Finished {
  readonly code: number
  readonly events: readonly JsonEvent[]
  /** `message` of the "error" event of a failed command; empty otherwise. */
  readonly error: string
}

/** Run to the end. @throws Error when that takes longer than `millis` */
export async function runToEnd(options: JsonPeerOptions, millis: number): Promise<Finished> {
  await using peer = new JsonPeer(options)
  const late = new Promise<never>((_, reject) => {
    AbortSignal.timeout(millis).addEventListener("abort", () => {
      reject(new Error(`${peer.name} did not end within ${millis} ms\n${peer.logTail()}`))
    })
  })
  const code = await Promise.race([peer.ended, late])
  const failure = peer.events.find((event) => event.event === "error")
  const message = failure?.["message"]
  const error = code === 0 ? "" : typeof message === "string" ? message : peer.logTail()
  return { code, events: peer.events, error }
}

function isEvent(value: unknown): value is JsonEvent {
  return typeof value === "object" && value !== null && "event" in value && typeof value.event === "string"
}

const KEPT_EVENTS = 10_000
const KEPT_NOISE = 8_000
const STOP_MILLIS = 20_000
