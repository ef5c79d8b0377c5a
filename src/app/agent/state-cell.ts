import type { IdentityState, IdentityView } from "../deliver/identity-source.ts"
import { sameView } from "./same-view.ts"

/** The state that readers see. It changes only when its content does. */
export class StateCell {
  #state: IdentityState
  readonly #waiters = new Set<() => void>()

  constructor(initial: IdentityState) {
    this.#state = initial
  }

  current(): IdentityState {
    return this.#state
  }

  /** Resolves at the next change, or when `signal` aborts. Never rejects. */
  changed(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    if (signal.aborted) {
      resolve()
      return promise
    }
    const done = (): void => {
      this.#waiters.delete(done)
      signal.removeEventListener("abort", done)
      resolve()
    }
    this.#waiters.add(done)
    signal.addEventListener("abort", done)
    return promise
  }

  /** @returns whether this was a change @see AGT-03 */
  set(next: IdentityState): boolean {
    if (sameState(this.#state, next)) return false
    this.#state = next
    for (const wake of [...this.#waiters]) wake()
    return true
  }
}

function sameState(a: IdentityState, b: IdentityState): boolean {
  const [left, right] = [viewOf(a), viewOf(b)]
  if (left !== undefined && right !== undefined) return sameView(left, right)
  if (a.kind === "ready" || b.kind === "ready") return false
  return a.kind === b.kind && a.error.code === b.error.code && a.error.message === b.error.message
}

function viewOf(state: IdentityState): IdentityView | undefined {
  return state.kind === "ready" ? state.view : undefined
}
