import type { Millis } from "./time.ts"

/**
 * Two octets of a monotonic time. Random names that begin with them lie side by side in an index when they were made together, so
 * a group of new ones dirties a page or two and not one each. They wrap after 70 minutes and say nothing that anybody may rely on.
 */
export function timeOctets(at: Millis): Uint8Array {
  const slot = Math.floor(at / SLOT)
  return Uint8Array.of((slot >> 8) & 0xff, slot & 0xff)
}

const SLOT: Millis = 64
