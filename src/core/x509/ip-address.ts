import { malformed } from "./refusal.ts"

/** Octets (4 or 16) of an IP address in text, without zone. @throws IdentityError `malformed` */
export function parseIpAddress(text: string): Uint8Array {
  const octets = text.includes(":") ? ipv6(text) : ipv4(text)
  if (octets === undefined) throw malformed("name", "not an IP address")
  return Uint8Array.from(octets)
}

function ipv4(text: string): readonly number[] | undefined {
  const parts = text.split(".")
  const valid = parts.length === 4 && parts.every((part) => DECIMAL.test(part) && Number(part) <= 255)
  return valid ? parts.map(Number) : undefined
}

function ipv6(text: string): readonly number[] | undefined {
  const halves = text.split("::")
  if (halves.length > 2) return undefined
  const [head, tail] = halves.map((half, i) => groups(half, i === halves.length - 1))
  if (head === undefined) return undefined
  if (halves.length === 1) return head.length === 16 ? head : undefined
  if (tail === undefined || head.length + tail.length > 14) return undefined
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail]
}

/** Octets of groups between colons; the last of the whole address may be an IPv4 address. */
function groups(text: string, endsAddress: boolean): readonly number[] | undefined {
  if (text === "") return []
  const octets: number[] = []
  const parts = text.split(":")
  for (const [i, part] of parts.entries()) {
    const isIpv4 = endsAddress && i === parts.length - 1 && part.includes(".")
    const group = isIpv4 ? ipv4(part) : hexGroup(part)
    if (group === undefined) return undefined
    octets.push(...group)
  }
  return octets
}

function hexGroup(part: string): readonly number[] | undefined {
  return HEX.test(part) ? [Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 0xff] : undefined
}

const DECIMAL = /^(?:0|[1-9]\d{0,2})$/
const HEX = /^[0-9a-fA-F]{1,4}$/
