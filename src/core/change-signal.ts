/** Wakes whoever waits for the next change. */
export interface ChangeSignal {
  fire(): void
  /** Resolves at the next {@link fire}, or when `signal` aborts. Never rejects. */
  changed(signal: AbortSignal): Promise<void>
}

export function makeChangeSignal(): ChangeSignal {
  const waiters = new Set<() => void>()
  return {
    fire: () => {
      for (const wake of [...waiters]) wake()
    },
    changed: (signal) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      if (signal.aborted) {
        resolve()
        return promise
      }
      const wake = () => {
        waiters.delete(wake)
        signal.removeEventListener("abort", wake)
        resolve()
      }
      waiters.add(wake)
      signal.addEventListener("abort", wake)
      return promise
    },
  }
}
