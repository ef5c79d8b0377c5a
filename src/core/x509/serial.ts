import type { Brand } from "../brand.ts"
import { encodeUnsigned } from "./der.ts"
import { malformed } from "./refusal.ts"

/** A serial number of ours: lowercase hex of 17 octets, without sign octet. */
export type Serial = Brand<string, "Serial">

/**
 * A fresh serial: one prefix octet that tells replicas apart, then 128 random bits; 17 octets, 18 in DER when the prefix
 * is above 127. @param prefix 1 to 255, so that no serial is shorter @throws RangeError for another prefix @see INV-04 PRF-06
 */
export function makeSerial(random: (bytes: number) => Uint8Array, prefix: number): Serial {
  if (!Number.isInteger(prefix) || prefix < 1 || prefix > 255) throw new RangeError("serial prefix outside 1 to 255")
  const bits = random(RANDOM_OCTETS)
  if (bits.length !== RANDOM_OCTETS) throw new RangeError("random source gave another number of bytes")
  return (prefix.toString(16).padStart(2, "0") + hexOf(bits)) as Serial
}

/** Parse the hex form of a serial that {@link makeSerial} made. @throws IdentityError `malformed` */
export function parseSerial(hex: string): Serial {
  if (!SHAPE.test(hex)) throw malformed("serial", "serial is not 34 lowercase hex digits")
  return hex as Serial
}

/** INTEGER. */
export function encodeSerial(serial: Serial): Uint8Array {
  return encodeUnsigned(Buffer.from(serial, "hex"))
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")
}

const RANDOM_OCTETS = 16
const SHAPE = /^(?!00)[0-9a-f]{34}$/
