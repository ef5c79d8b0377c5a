import type { ChangeSignal } from "../../core/change-signal.ts"

/**
 * Hands each change on to all who wait for it, `perTurn` of them in each turn of the event loop: what tens of thousands of streams do
 * about a change in one turn would keep the process from everything else for seconds. Whoever waits already when a change comes hears
 * of it, also of one that comes while the one before is still handed on.
 * @param changed is waited for once, however many wait here @see IDA-16
 */
export function paceChanges(changed: ChangeSignal["changed"], perTurn: number): ChangeSignal["changed"] {
  const waiting = new Set<() => void>()
  const due = new Set<() => void>()
  let [isArmed, isWaking] = [false, false]
  const arm = () => {
    isArmed = true
    void changed(NEVER).then(() => {
      isArmed = false
      for (const wake of waiting) due.add(wake)
      waiting.clear()
      if (!isWaking) wakeSome()
    })
  }
  const wakeSome = () => {
    let left = perTurn
    for (const wake of due) {
      if (left-- === 0) break
      wake()
    }
    isWaking = due.size > 0
    if (isWaking) setImmediate(wakeSome)
  }
  return (signal) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => {
      waiting.delete(wake)
      due.delete(wake)
      signal.removeEventListener("abort", wake)
      resolve()
    }
    waiting.add(wake)
    signal.addEventListener("abort", wake)
    if (signal.aborted) wake()
    else if (!isArmed) arm()
    return promise
  }
}

const NEVER = new AbortController().signal
