import type { Brand } from "../brand.ts"
import type { Millis } from "../time.ts"
import { TIME_SLOT_OCTETS, timeSlot } from "../time-slot.ts"
import { encodeUnsigned } from "./der.ts"
import { malformed } from "./refusal.ts"

/** A serial number of ours: lowercase hex of 19 octets, without sign octet; of 17 when an older server made it. */
export type Serial = Brand<string, "Serial">

/**
 * A fresh serial: one prefix octet that tells replicas apart, two of the time, which keep the log together, then 128 random bits;
 * 19 octets, 20 in DER when the prefix is above 127. @param prefix 1 to 255, so that no serial is shorter
 * @param at monotonic; of no matter for what is made rarely @throws RangeError for another prefix @see INV-04 PRF-06
 */
export function makeSerial(random: (bytes: number) => Uint8Array, prefix: number, at: Millis = 0): Serial {
  if (!Number.isInteger(prefix) || prefix < 1 || prefix > 255) throw new RangeError("serial prefix outside 1 to 255")
  const bits = random(RANDOM_OCTETS)
  if (bits.length !== RANDOM_OCTETS) throw new RangeError("random source gave another number of bytes")
  const octets = Buffer.allocUnsafe(1 + TIME_SLOT_OCTETS + RANDOM_OCTETS)
  octets[0] = prefix
  octets.writeUInt16BE(timeSlot(at), 1)
  octets.set(bits, 1 + TIME_SLOT_OCTETS)
  return octets.toString("hex") as Serial
}

/** Parse the hex form of a serial that {@link makeSerial} made. @throws IdentityError `malformed` */
export function parseSerial(hex: string): Serial {
  if (!SHAPE.test(hex)) throw malformed("serial", "serial is not 38 lowercase hex digits, nor 34")
  return hex as Serial
}

/** INTEGER. */
export function encodeSerial(serial: Serial): Uint8Array {
  return encodeUnsigned(Buffer.from(serial, "hex"))
}

const RANDOM_OCTETS = 16
const SHAPE = /^(?!00)[0-9a-f]{34}(?:[0-9a-f]{4})?$/
