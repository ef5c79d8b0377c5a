import { isIP } from "node:net"
import { z } from "zod"
import { toIdentityError } from "../../core/errors.ts"
import { parseTrustDomain } from "../../core/spiffe/id.ts"

/** Where to listen or connect. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/** The name of a trust domain. */
export function trustDomain() {
  return text(255).transform((value, context) => {
    try {
      return parseTrustDomain(value)
    } catch (thrown) {
      context.addIssue({ code: "custom", message: toIdentityError(thrown).message })
      return z.NEVER
    }
  })
}

/** `host:port`; an IPv6 address stands in brackets. Port 0 only where any free port will do. */
export function hostPort() {
  return text(300).transform((value, context): HostPort => {
    const [, bracketed, plain, digits] = HOST_PORT.exec(value) ?? []
    const host = bracketed ?? plain
    const port = Number(digits)
    const wrong = host === undefined || port > 65_535 || (bracketed !== undefined && isIP(bracketed) !== 6)
    if (wrong) {
      context.addIssue({ code: "custom", message: 'must be host:port, such as "127.0.0.1:8443" or "[::1]:8443"' })
      return z.NEVER
    }
    return { host, port }
  })
}

/** A path of the file system; a relative one is relative to the working directory. */
export function path() {
  return text(4096)
}

/** An https URL without credentials, query or fragment. */
export function httpsUrl() {
  return text(2048).refine((value) => {
    const url = URL.parse(value)
    return (
      url?.protocol === "https:" && url.username === "" && url.password === "" && url.search === "" && url.hash === ""
    )
  }, "must be an https URL without user, query or fragment")
}

/** The URL of an API server: https, or plain http on a loopback address. */
export function clusterUrl() {
  return text(2048).refine((value) => {
    const url = URL.parse(value)
    const plain = url?.protocol === "http:" && /^(?:127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/.test(url.hostname)
    return (
      url !== null &&
      (url.protocol === "https:" || plain) &&
      url.username === "" &&
      url.password === "" &&
      url.hash === ""
    )
  }, "must be an https URL (http only on a loopback address) without user, password or fragment")
}

export function dnsName() {
  return text(253).regex(DNS_NAME, "must be a DNS name in lower case, without wildcard or final dot")
}

export function ipAddress() {
  return text(45).refine((value) => isIP(value) !== 0, "must be an IPv4 or IPv6 address")
}

/** A name that the operator chooses. */
export function label() {
  return text(128).regex(LABEL, "must be of a-z A-Z 0-9 . _ -, and start with a letter or digit")
}

/** Text that is not empty, with an upper bound in UTF-16 units. */
export function text(max: number) {
  return z.string().min(1, "must not be empty").max(max, `must be at most ${max} characters long`)
}

/** A list without repetitions, not empty unless `min` is 0. */
export function setOf<T extends z.ZodType<string, string>>(
  item: T,
  bounds: { readonly min: 0 | 1; readonly max: number },
) {
  return z
    .array(item)
    .min(bounds.min, "must not be empty")
    .max(bounds.max, `must have at most ${bounds.max} items`)
    .refine((items) => new Set<string>(items).size === items.length, "must not have an item twice")
}

/** One item, or a list of different ones. Output: a list. */
export function oneOrMore<Item extends string>(item: z.ZodType<Item, string>) {
  const list = setOf(item, { min: 1, max: 256 })
  return z.union([item.transform((value) => [value]), list], "must be one value or a list of different ones")
}

const HOST_PORT = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/
const LABEL = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
