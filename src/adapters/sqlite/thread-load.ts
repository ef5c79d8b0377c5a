import type { Millis } from "../../core/time.ts"

/**
 * Whether the thread that asks computes nearly all of the time, so that everybody waits for it. Waiting for the disk does not count,
 * nor does waiting for a core: on a machine that is busy another thread would be of no help.
 */
export class ThreadLoad {
  readonly #now: () => Millis
  readonly #usedMicros: () => number
  #since: Millis
  #used: number
  #elsewhere = 0
  #isHigh = false

  /** @param usedMicros processor time that this thread has used so far, in µs */
  constructor(now: () => Millis = () => performance.now(), usedMicros: () => number = threadMicros) {
    this.#now = now
    this.#usedMicros = usedMicros
    this.#since = now()
    this.#used = usedMicros()
  }

  /** Of the last 20 ms or more. */
  get isHigh(): boolean {
    const elapsed = this.#now() - this.#since
    if (elapsed < WINDOW) return this.#isHigh
    const used = this.#usedMicros()
    const micros = used - this.#used + this.#elsewhere
    this.#isHigh = micros > elapsed * 1000 * HIGH
    this.#since += elapsed
    this.#used = used
    this.#elsewhere = 0
    return this.#isHigh
  }

  /** Another thread does work of this one that would take so many µs. */
  lighten(micros: number): void {
    this.#elsewhere += micros
  }
}

function threadMicros(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}

const WINDOW: Millis = 20
const HIGH = 0.75
