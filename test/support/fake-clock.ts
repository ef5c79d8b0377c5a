import type { Instant, Millis, Seconds } from "../../src/core/time.ts"
import type { Clock } from "../../src/ports/clock.ts"

interface Sleeper {
  readonly wakeAt: Millis
  readonly wake: () => void
}

/** Time that stands still until a test moves it. Sleepers wake in order while {@link FakeClock.advance} passes their moment. */
export class FakeClock implements Clock {
  #wall: Millis
  #monotonic: Millis = 0
  #sleepers: readonly Sleeper[] = []
  #watchers: (() => void)[] = []

  constructor(now: Instant) {
    this.#wall = now * 1000
  }

  now(): Instant {
    return Math.floor(this.#wall / 1000)
  }

  monotonic(): Millis {
    return this.#monotonic
  }

  sleep(delay: Millis, signal: AbortSignal): Promise<void> {
    if (signal.aborted || delay <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener("abort", wake)
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
        resolve()
      }
      const sleeper = { wakeAt: this.#monotonic + delay, wake }
      this.#sleepers = [...this.#sleepers, sleeper]
      signal.addEventListener("abort", wake, { once: true })
      for (const notify of this.#watchers.splice(0)) notify()
    })
  }

  /** How many sleep now. */
  get sleeping(): number {
    return this.#sleepers.length
  }

  /** Resolves once at least `count` sleep: the code under test has come to rest. */
  async untilSleeping(count: number): Promise<void> {
    while (this.#sleepers.length < count) {
      await new Promise<void>((resolve) => this.#watchers.push(resolve))
    }
  }

  /** Let `seconds` pass on both clocks. Each sleeper wakes at its own moment, and what it starts runs before time goes on. */
  async advance(seconds: Seconds): Promise<void> {
    const end = this.#monotonic + seconds * 1000
    for (;;) {
      const next = this.#sleepers.filter((s) => s.wakeAt <= end).sort((a, b) => a.wakeAt - b.wakeAt)[0]
      if (next === undefined) break
      this.#moveTo(next.wakeAt)
      next.wake()
      await settle()
    }
    this.#moveTo(end)
    await settle()
  }

  /** Set the wall clock alone, as an operator or a bad time server does. */
  jumpWall(seconds: Seconds): void {
    this.#wall += seconds * 1000
  }

  #moveTo(moment: Millis): void {
    this.#wall += moment - this.#monotonic
    this.#monotonic = moment
  }
}

/** Let everything run that is ready to run. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
