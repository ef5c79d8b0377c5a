import { encodeDer, TAG } from "./der.ts"
import { malformed } from "./refusal.ts"

/** Encode an object identifier from its dotted form, as an element. For constants of the code, not for input. */
export function encodeOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number)
  return encodeDer(TAG.oid, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)))
}

/**
 * Dotted form of the content of an OBJECT IDENTIFIER, which is `bytes` from `start` to `end`. Arcs up to 2^49.
 * @throws IdentityError `malformed` @see DER-06
 */
export function decodeOid(bytes: Uint8Array, start = 0, end = bytes.length): string {
  const known = knownOid(bytes, start, end)
  if (known !== undefined) return known
  if (end === start || end - start > MAX_OCTETS) throw malformed("der-oid", "DER OID is empty or too long")
  let text = ""
  let arc = 0
  for (let i = start; i < end; i++) {
    const octet = bytes[i] ?? 0
    if (arc === 0 && octet === 0x80) throw malformed("der-oid", "DER OID arc is not minimal")
    arc = arc * 128 + (octet & 0x7f)
    if (arc >= MAX_ARC) throw malformed("der-oid", "DER OID arc is too large")
    if (octet >= 0x80) continue
    text += text === "" ? firstArcs(arc) : `.${arc}`
    arc = 0
  }
  if ((bytes[end - 1] ?? 0) >= 0x80) throw malformed("der-oid", "DER OID ends inside an arc")
  return text
}

/** What nearly every extension and every purpose has is not put together anew. */
function knownOid(bytes: Uint8Array, start: number, end: number): string | undefined {
  for (const { prefix, names } of FAMILIES) {
    if (prefix.length === end - start - 1 && beginsWith(bytes, start, prefix)) return names[bytes[end - 1] ?? 0]
  }
  return undefined
}

function beginsWith(bytes: Uint8Array, start: number, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return false
  return true
}

function firstArcs(joined: number): string {
  const first = Math.min(2, Math.floor(joined / 40))
  return `${first}.${joined - first * 40}`
}

function base128(arc: number): number[] {
  const octets = [arc & 0x7f]
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) octets.unshift(0x80 | (rest & 0x7f))
  return octets
}

export const OID = {
  ecPublicKey: "1.2.840.10045.2.1",
  rsaEncryption: "1.2.840.113549.1.1.1",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  ecdsaWithSha384: "1.2.840.10045.4.3.3",
  ecdsaWithSha512: "1.2.840.10045.4.3.4",
  sha256WithRsa: "1.2.840.113549.1.1.11",
  sha384WithRsa: "1.2.840.113549.1.1.12",
  sha512WithRsa: "1.2.840.113549.1.1.13",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  authorityKeyIdentifier: "2.5.29.35",
  extKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  extensionRequest: "1.2.840.113549.1.9.14",
  commonName: "2.5.4.3",
  serialNumber: "2.5.4.5",
  organization: "2.5.4.10",
} as const

/** OIDs with all arcs but the last in common, which is of one octet: their octets before it, and their dotted forms by it. */
const FAMILIES = ["2.5.29", "1.3.6.1.5.5.7.3"].map((dotted) => ({
  prefix: encodeOid(dotted).subarray(2),
  names: Array.from({ length: 0x80 }, (_, n) => `${dotted}.${n}`),
}))
const MAX_OCTETS = 64
const MAX_ARC = 2 ** 49
