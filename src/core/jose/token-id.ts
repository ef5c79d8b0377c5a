import type { Millis } from "../time.ts"
import { TIME_SLOT_OCTETS, timeSlot } from "../time-slot.ts"

/** A fresh `jti`: lowercase hex of two octets of the monotonic time `at`, which keep the log together, and 112 random bits. */
export function makeTokenId(random: (bytes: number) => Uint8Array, at: Millis): string {
  const octets = Buffer.allocUnsafe(TIME_SLOT_OCTETS + RANDOM_OCTETS)
  octets.writeUInt16BE(timeSlot(at))
  octets.set(random(RANDOM_OCTETS), TIME_SLOT_OCTETS)
  return octets.toString("hex")
}

const RANDOM_OCTETS = 14
