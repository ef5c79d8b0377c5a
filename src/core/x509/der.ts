/** Encode one element: the tag, the shortest length, then the parts one after another. */
export function encodeDer(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const header = headerOctets(length)
  const out = new Uint8Array(header + length)
  writeHeader(out, 0, tag, length)
  let at = header
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** A SEQUENCE of elements that are already encoded. */
export function encodeSequence(...elements: readonly Uint8Array[]): Uint8Array {
  return encodeDer(TAG.sequence, ...elements)
}

/** An INTEGER from the big-endian octets of a value that is not negative. Adds the sign octet, drops leading zeros. */
export function encodeUnsigned(octets: Uint8Array): Uint8Array {
  let start = 0
  while (start < octets.length - 1 && octets[start] === 0) start++
  const value = octets.subarray(start)
  const needsSign = value.length === 0 || (value[0] ?? 0) >= 0x80
  return needsSign ? encodeDer(TAG.integer, ZERO, value) : encodeDer(TAG.integer, value)
}

/** A BIT STRING of whole octets. */
export function encodeBitString(octets: Uint8Array): Uint8Array {
  return encodeDer(TAG.bitString, ZERO, octets)
}

/** The octets of a text that is known to be ASCII. */
export function asciiOctets(text: string): Uint8Array {
  return Buffer.from(text, "latin1")
}

/** How many octets tag and length take before a content of `length`. */
export function headerOctets(length: number): number {
  return length < 0x80 ? 2 : length < 0x100 ? 3 : length < 0x10000 ? 4 : 5
}

/** Write tag and the shortest length to `out` from `at` on. @throws RangeError for 16 MiB or more, or when they do not fit */
export function writeHeader(out: Uint8Array, at: number, tag: number, length: number): void {
  const octets = headerOctets(length)
  if (length >= MAX_LENGTH) throw new RangeError("DER element of 16 MiB or more")
  if (at < 0 || at + octets > out.length) throw new RangeError("DER header does not fit")
  out[at] = tag
  if (octets === 2) {
    out[at + 1] = length
    return
  }
  out[at + 1] = 0x80 + octets - 2
  for (let i = at + octets - 1, rest = length; i > at + 1; i--, rest >>>= 8) out[i] = rest & 0xff
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const

const ZERO = new Uint8Array(1)
const MAX_LENGTH = 0x1000000
