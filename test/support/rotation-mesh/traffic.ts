import { setTimeout as delay } from "node:timers/promises"
import type { Millis } from "../../../src/core/time.ts"

/** A call between two members that failed. Both times in milliseconds of the wall clock. */
export interface FailedCall {
  readonly from: string
  readonly to: string
  readonly began: Millis
  readonly ended: Millis
  readonly problem: string
}

/** Calls through Envoys, one after another on each lane, until it is disposed of. Each is a handshake of its own. */
export class MeshTraffic implements AsyncDisposable {
  readonly failures: FailedCall[] = []
  readonly #pace: Millis
  readonly #succeeded = new Map<string, number>()
  readonly #lanes: Promise<void>[] = []
  #stopped = false

  /** @param pace time between two calls of a lane */
  constructor(pace: Millis) {
    this.#pace = pace
  }

  get succeeded(): number {
    return [...this.#succeeded.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Of one lane. */
  between(from: string, to: string): number {
    return this.#succeeded.get(`${from} ${to}`) ?? 0
  }

  /** Begin to call `to` through the plain listener of `from` at `port`. */
  open(from: string, to: string, port: number): void {
    this.#lanes.push(this.#run(from, to, `http://127.0.0.1:${port}/`))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#lanes)
  }

  async #run(from: string, to: string, url: string): Promise<void> {
    while (!this.#stopped) {
      const began = Date.now()
      try {
        await call(url)
        this.#succeeded.set(`${from} ${to}`, this.between(from, to) + 1)
      } catch (failure) {
        this.#failed({ from, to, began, ended: Date.now(), problem: String(failure) })
      }
      await delay(this.#pace)
    }
  }

  #failed(call: FailedCall): void {
    if (this.failures.length < MAX_FAILURES) this.failures.push(call)
  }
}

/** @throws Error on everything but a 200 */
async function call(url: string): Promise<void> {
  const reply = await fetch(url, { signal: AbortSignal.timeout(CALL_MILLIS) })
  const body = await reply.text()
  if (reply.status !== 200) throw new Error(`${reply.status} ${body}`)
}

const CALL_MILLIS = 30_000
const MAX_FAILURES = 10_000
