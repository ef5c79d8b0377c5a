import type { Brand } from "../brand.ts"
import { IdentityError } from "../errors.ts"

/** A trust domain name without scheme, e.g. `prod.example`. Only {@link parseTrustDomain} makes one. */
export type TrustDomain = Brand<string, "TrustDomain">
/** A canonical SPIFFE ID, with or without a path. Only {@link parseSpiffeId} makes one. */
export type SpiffeId = Brand<string, "SpiffeId">

/** Parse a trust domain name. Never normalises. @throws IdentityError `malformed` @see SID-01..SID-04 */
export function parseTrustDomain(text: string): TrustDomain {
  if (text.length > MAX_TRUST_DOMAIN) throw malformed("trust domain is longer than 255 bytes")
  if (!TRUST_DOMAIN.test(text)) throw malformed("trust domain has a character outside a-z 0-9 . _ -, or none")
  return text as TrustDomain
}

/** Parse the text of a SPIFFE ID. Never normalises. @throws IdentityError `malformed` @see SID-01..SID-07 */
export function parseSpiffeId(text: string): SpiffeId {
  // A character outside ASCII fails the shape below, so length in UTF-16 units is length in bytes for all that passes.
  if (text.length > MAX_ID) throw malformed("SPIFFE ID is longer than 2048 bytes")
  const shape = ID.exec(text)
  if (shape === null) throw malformed("SPIFFE ID is not spiffe://<trust domain>/<path>")
  if ((shape[1] ?? "").length > MAX_TRUST_DOMAIN) throw malformed("trust domain is longer than 255 bytes")
  const id = text as SpiffeId
  if (DOT_SEGMENT.test(pathOf(id))) throw malformed("SPIFFE ID path has a dot segment")
  return id
}

/** Parse an ID that a workload can hold: with a path. @throws IdentityError `malformed` @see X5-05 */
export function parseWorkloadId(text: string): SpiffeId {
  const id = parseSpiffeId(text)
  if (pathOf(id) === "") throw malformed("SPIFFE ID has no path")
  return id
}

/** The trust domain of an ID. */
export function trustDomainOf(id: SpiffeId): TrustDomain {
  const slash = id.indexOf("/", SCHEME.length)
  return (slash === -1 ? id.slice(SCHEME.length) : id.slice(SCHEME.length, slash)) as TrustDomain
}

/** The path with its leading slash, or the empty string. */
export function pathOf(id: SpiffeId): string {
  const slash = id.indexOf("/", SCHEME.length)
  return slash === -1 ? "" : id.slice(slash)
}

/** The ID of the trust domain itself, `spiffe://<trust domain>`. @see SID-09 WA-03 */
export function trustDomainId(trustDomain: TrustDomain): SpiffeId {
  return `${SCHEME}${trustDomain}` as SpiffeId
}

/** Join a trust domain and a path that starts with a slash. @throws IdentityError `malformed` */
export function workloadId(trustDomain: TrustDomain, path: string): SpiffeId {
  return parseWorkloadId(`${SCHEME}${trustDomain}${path}`)
}

/** True for Assay's own identities, which no rule can yield. @see SID-10 */
export function isReserved(id: SpiffeId): boolean {
  const path = pathOf(id)
  return path === RESERVED_PATH || path.startsWith(`${RESERVED_PATH}/`)
}

/** The identity of an Assay server. */
export function serverId(trustDomain: TrustDomain): SpiffeId {
  return workloadId(trustDomain, `${RESERVED_PATH}/server`)
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

const SCHEME = "spiffe://"
const RESERVED_PATH = "/assay"
const MAX_ID = 2048
const MAX_TRUST_DOMAIN = 255
const TRUST_DOMAIN = /^[a-z0-9._-]+$/
const ID = /^spiffe:\/\/([a-z0-9._-]+)(?:\/[A-Za-z0-9._-]+)*$/
const DOT_SEGMENT = /\/\.{1,2}(?:\/|$)/
