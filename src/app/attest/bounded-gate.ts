import { attestationRefusal } from "./attestation-refusal.ts"

/** Lets at most `limit` tasks run at a time; others wait in order. @see ATT-11 INV-32 */
export interface BoundedGate {
  /** @throws IdentityError `attestor-down` when `maxWaiting` wait already; the reason of `signal` when it aborts first */
  run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T>
}

export function makeBoundedGate(limit: number, maxWaiting: number): BoundedGate {
  let running = 0
  const waiting = new Set<() => void>()
  const enter = async (signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted()
    if (running < limit) {
      running++
      return
    }
    if (waiting.size >= maxWaiting) throw attestationRefusal("attestation-busy")
    const turn = Promise.withResolvers<void>()
    const giveUp = () => {
      waiting.delete(turn.resolve) // at once, so that nobody hands it a place it would not use
      turn.reject(signal.reason)
    }
    waiting.add(turn.resolve)
    signal.addEventListener("abort", giveUp, { once: true })
    try {
      await turn.promise // the one who leaves hands its place over, so `running` stays as it is
    } finally {
      signal.removeEventListener("abort", giveUp)
    }
  }
  const leave = (): void => {
    const [next] = waiting
    if (next === undefined) {
      running--
      return
    }
    waiting.delete(next)
    next()
  }
  return {
    run: async (task, signal) => {
      await enter(signal)
      try {
        return await task()
      } finally {
        leave()
      }
    },
  }
}
