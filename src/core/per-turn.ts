/** Resolves when it is the caller's turn. Callers bound how many wait. */
export type PerTurn = () => Promise<void>

/**
 * Lets `count` of its callers go on in each turn of the event loop, in the order of the calls, the first ones at once: what thousands do in
 * one turn keeps the process from everything else.
 */
export function makePerTurn(count: number): PerTurn {
  const waiting = new Set<() => void>()
  let [left, isRunning] = [count, false]
  const run = () => {
    left = count
    for (const wake of waiting) {
      if (left === 0) break
      left--
      waiting.delete(wake)
      wake()
    }
    isRunning = left < count
    if (isRunning) setImmediate(run)
  }
  return () => {
    if (!isRunning) setImmediate(run)
    isRunning = true
    const { promise, resolve } = Promise.withResolvers<void>()
    if (left > 0) {
      left--
      resolve()
    } else waiting.add(resolve)
    return promise
  }
}
