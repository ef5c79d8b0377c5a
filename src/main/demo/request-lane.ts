import { setTimeout as delay } from "node:timers/promises"
import type { Millis } from "../../core/time.ts"

/** Requests one after another until disposed of. */
export interface RequestLane extends AsyncDisposable {
  readonly succeeded: number
  readonly failed: number
  /** Why the first one failed. */
  readonly firstFailure: unknown
}

/** Call `request` over and over, {@link PAUSE} apart. It throws when it fails. */
export function openRequestLane(request: (signal: AbortSignal) => Promise<void>): RequestLane {
  const stop = new AbortController()
  const count = { succeeded: 0, failed: 0 }
  let firstFailure: unknown
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await request(stop.signal)
        count.succeeded++
      } catch (thrown) {
        if (stop.signal.aborted) return
        count.failed++
        firstFailure ??= thrown
      }
      await delay(PAUSE, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  }
  const running = run()
  return {
    get succeeded() {
      return count.succeeded
    },
    get failed() {
      return count.failed
    },
    get firstFailure() {
      return firstFailure
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

const PAUSE: Millis = 2
