import type { Millis } from "./time.ts"

/**
 * A monotonic time in two octets, as a number. Random names that begin with them lie side by side in an index when they were made
 * together, so a group of new ones dirties a page or two and not one each. They wrap after 70 minutes and say nothing that anybody
 * may rely on.
 */
export function timeSlot(at: Millis): number {
  return Math.floor(at / SLOT) & 0xffff
}

export const TIME_SLOT_OCTETS = 2
const SLOT: Millis = 64
