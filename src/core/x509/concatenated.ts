import { IdentityError } from "../errors.ts"

/** Split DER values that stand one after another, as the Workload API sends certificates. @throws IdentityError `malformed` */
export function splitConcatenatedDer(bytes: Uint8Array): readonly Uint8Array[] {
  const parts: Uint8Array[] = []
  let at = 0
  while (at < bytes.length) {
    const end = endOfSequence(bytes, at)
    parts.push(bytes.subarray(at, end))
    at = end
  }
  return parts
}

function endOfSequence(bytes: Uint8Array, start: number): number {
  const first = bytes[start + 1] ?? 0
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  if (bytes[start] !== SEQUENCE || lengthBytes > MAX_LENGTH_BYTES || first === INDEFINITE) throw malformed()
  let length = lengthBytes === 0 ? first : 0
  for (let n = 0; n < lengthBytes; n++) length = length * 256 + (bytes[start + 2 + n] ?? 0)
  const end = start + 2 + lengthBytes + length
  if (end > bytes.length) throw malformed()
  return end
}

function malformed(): IdentityError {
  return new IdentityError("malformed", "not a run of DER sequences")
}

const SEQUENCE = 0x30
const INDEFINITE = 0x80
const MAX_LENGTH_BYTES = 3
