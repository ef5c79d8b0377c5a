/**
 * True for a DNS name that may stand in a certificate: lower-case letters, digits and hyphens, labels of 1 to 63, at most 253
 * in all, no wildcard, no trailing dot, and not an IPv4 address. @see X5-03
 */
export function isDnsName(text: string): boolean {
  return text.length <= MAX_NAME && NAME.test(text) && !ALL_DIGITS_AT_END.test(text)
}

const MAX_NAME = 253
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/
const ALL_DIGITS_AT_END = /(?:^|\.)\d+$/
