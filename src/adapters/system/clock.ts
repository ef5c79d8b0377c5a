import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => Math.floor(Date.now() / 1000),
  monotonic: () => performance.now(),
  sleep,
}

async function sleep(delay: Millis, signal: AbortSignal): Promise<void> {
  const end = performance.now() + delay
  // A timer holds at most 2^31 - 1 ms and fires at once when given more, so long delays are slept in parts.
  for (let left = delay; left > 0 && !signal.aborted; left = end - performance.now()) {
    await pause(Math.min(left, MAX_TIMER), signal)
  }
}

function pause(delay: Millis, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", wake)
      resolve()
    }
    const timer = setTimeout(wake, Math.ceil(delay))
    signal.addEventListener("abort", wake, { once: true })
  })
}

const MAX_TIMER = 2 ** 31 - 1
