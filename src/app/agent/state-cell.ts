import { makeChangeSignal } from "../../core/change-signal.ts"
import type { IdentityState, IdentityView } from "../deliver/identity-source.ts"
import { sameView } from "./same-view.ts"

/** The state that readers see. It changes only when its content does. */
export class StateCell {
  #state: IdentityState
  readonly #changes = makeChangeSignal()

  constructor(initial: IdentityState) {
    this.#state = initial
  }

  current(): IdentityState {
    return this.#state
  }

  /** Resolves at the next change, or when `signal` aborts. Never rejects. */
  changed(signal: AbortSignal): Promise<void> {
    return this.#changes.changed(signal)
  }

  /** @returns whether this was a change @see AGT-03 */
  set(next: IdentityState): boolean {
    if (sameState(this.#state, next)) return false
    this.#state = next
    this.#changes.fire()
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
