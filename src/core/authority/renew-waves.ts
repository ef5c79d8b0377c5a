import type { Instant, Seconds } from "../time.ts"
import type { RotationState } from "./rotation-state.ts"

/** How holders are asked to renew once the new authority signs. */
export interface WaveTerms {
  /** Part of the holders that each wave adds, above 0 and at most 1. */
  readonly share: number
  /** From one wave to the next; a holder renews at a moment of its own within it. */
  readonly interval: Seconds
}

/** What holders are asked for right now. */
export interface RenewOrder {
  /** Names the rotation: who renewed for it need not again. */
  readonly rotation: string
  /** Those below this position, from 0 to 1, are asked. */
  readonly share: number
  readonly within: Seconds
}

/**
 * The order at `now`, from the record alone, so that a restart goes on with the same wave. In an emergency everybody is asked at
 * once, and at once. `undefined`: nobody is asked; so it is while it is paused, and after something went wrong.
 */
export function renewOrder(state: RotationState, now: Instant, terms: WaveTerms): RenewOrder | undefined {
  if (state.phase === "retiring" && state.emergency) return { rotation: state.id, share: 1, within: 1 }
  if ((state.phase !== "active" && state.phase !== "draining") || state.paused || state.stopped !== undefined)
    return undefined
  const waves = Math.floor(Math.max(0, now - state.since) / terms.interval) + 1
  return { rotation: state.id, share: Math.min(1, waves * terms.share), within: terms.interval }
}
