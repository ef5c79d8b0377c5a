import type { Instant, Seconds } from "../time.ts"
import type { RotationPhase, RotationState } from "./rotation-state.ts"

/** How holders are asked to renew: for the new bundle, which a renewal proves, and once the new authority signs. */
export interface WaveTerms {
  /** Part of the holders that each wave adds, above 0 and at most 1. */
  readonly share: number
  /** From one wave to the next; a holder renews at a moment of its own within it. */
  readonly interval: Seconds
}

/** What holders are asked for right now. */
export interface RenewOrder {
  /** Names the rotation and what it is for: who renewed for that need not again. */
  readonly rotation: string
  /** What a renewal is to bring: the proof that the newest bundle was handed on, or a certificate of who signs now. */
  readonly wants: "bundle" | "certificate"
  /** Those below this position, from 0 to 1, are asked. */
  readonly share: number
  readonly within: Seconds
}

/**
 * The order at `now`, from the record alone, so that a restart goes on with the same wave. In an emergency everybody is asked at
 * once, and at once. `undefined`: nobody is asked; so it is while it is paused, and after something went wrong; then the waves go on
 * from the one that they were at.
 */
export function renewOrder(state: RotationState, now: Instant, terms: WaveTerms): RenewOrder | undefined {
  if (state.phase === "retiring" && state.emergency) {
    return { rotation: `${state.id}/${state.next}`, wants: "certificate", share: 1, within: 1 }
  }
  if (state.phase === "stable" || state.paused || state.stopped !== undefined) return undefined
  const order = ORDERS[state.phase]?.(state.id)
  if (order === undefined) return undefined
  const passed = now - state.since - (state.heldFor ?? 0)
  const waves = Math.floor(Math.max(0, passed) / terms.interval) + 1
  return { ...order, share: Math.min(1, waves * terms.share), within: terms.interval }
}

/** A renewal quotes the bundle that was handed on, which is all that clients who cannot acknowledge can prove. @see ROT-41 EV-3 */
const ORDERS: Partial<Record<RotationPhase, (id: string) => Pick<RenewOrder, "rotation" | "wants">>> = {
  publishing: (id) => ({ rotation: `${id}/bundle`, wants: "bundle" }),
  active: (id) => ({ rotation: id, wants: "certificate" }),
  draining: (id) => ({ rotation: id, wants: "certificate" }),
  retiring: (id) => ({ rotation: `${id}/last-bundle`, wants: "bundle" }),
}
