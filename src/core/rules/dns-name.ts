/** True for a DNS name in lower case without wildcard or final dot, of labels of at most 63 and 253 characters in all. */
export function isDnsName(text: string): boolean {
  return text.length <= 253 && DNS_NAME.test(text)
}

const DNS_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/
