import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"

/** Notices that the wall clock moved on its own: the machine was suspended, or somebody set the clock. @see AGT-10 */
export class JumpWatch {
  readonly #clock: Clock
  #offset: Millis

  constructor(clock: Clock) {
    this.#clock = clock
    this.#offset = this.#currentOffset()
  }

  /** How far the wall clock moved against the monotonic one since the last call; 0 when that is within the tolerance. */
  jumped(): Millis {
    const moved = this.#currentOffset() - this.#offset
    if (Math.abs(moved) < TOLERANCE) return 0
    this.#offset += moved
    return moved
  }

  #currentOffset(): Millis {
    return this.#clock.now() * 1000 - this.#clock.monotonic()
  }
}

const TOLERANCE: Millis = 3_000
