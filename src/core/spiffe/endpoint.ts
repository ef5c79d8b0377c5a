import { IdentityError } from "../errors.ts"
import { parseIpAddress } from "../x509/ip-address.ts"

/** Where a Workload API listens. */
export type WorkloadEndpoint =
  | { readonly kind: "unix"; readonly path: string }
  /** `host` is an IP address; an IPv6 one without brackets. */
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }

/**
 * Parse the value of `SPIFFE_ENDPOINT_SOCKET`: `unix:///absolute/path` or `tcp://IP:port`, nothing else.
 * @throws IdentityError `malformed` @see WE-10
 */
export function parseWorkloadEndpoint(text: string): WorkloadEndpoint {
  const path = UNIX.exec(text)?.[1]
  if (path !== undefined) return { kind: "unix", path }
  const tcp = TCP.exec(text)
  const host = tcp?.[1] ?? tcp?.[2]
  const port = Number(tcp?.[3])
  if (host !== undefined && isAddress(host) && port >= 1 && port <= 65_535) return { kind: "tcp", host, port }
  throw new IdentityError("malformed", `"${text}" is neither unix:///absolute/path nor tcp://IP:port`)
}

function isAddress(host: string): boolean {
  try {
    parseIpAddress(host)
    return true
  } catch {
    return false
  }
}

/** Any byte but those that end a path in a URI. */
const UNIX = /^unix:\/\/(\/[^?#\0]+)$/
const TCP = /^tcp:\/\/(?:((?:\d{1,3}\.){3}\d{1,3})|\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]{1,44})\]):(\d{1,5})$/
