import type { Writable } from "node:stream"
import type { Millis } from "../../src/core/time.ts"

/** Passes bytes on in order, each piece some time after it came, and none while held. What waits is in memory: for little traffic. */
export class SlowLane {
  readonly #to: Writable
  readonly #delay: () => Millis
  readonly #waiting: Buffer[] = []
  /** Pieces whose time has come. */
  #due = 0
  #held = false

  /** @param delay asked for each piece */
  constructor(to: Writable, delay: () => Millis) {
    this.#to = to
    this.#delay = delay
  }

  pass(bytes: Buffer): void {
    if (this.#waiting.length >= MAX_WAITING) throw new RangeError("more waits on a slow lane than a test should send")
    this.#waiting.push(bytes)
    const delay = this.#delay()
    if (delay === 0) this.#ripen()
    else setTimeout(() => this.#ripen(), delay)
  }

  hold(): void {
    this.#held = true
  }

  release(): void {
    this.#held = false
    this.#drain()
  }

  #ripen(): void {
    this.#due += 1
    this.#drain()
  }

  #drain(): void {
    for (; !this.#held && this.#due > 0; this.#due--) {
      const bytes = this.#waiting.shift()
      if (bytes !== undefined && !this.#to.destroyed) this.#to.write(bytes)
    }
  }
}

const MAX_WAITING = 10_000
