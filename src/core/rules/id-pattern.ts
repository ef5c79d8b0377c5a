import { IdentityError } from "../errors.ts"
import { isReserved, parseWorkloadId, type SpiffeId, type TrustDomain, trustDomainId } from "../spiffe/id.ts"

/** Which SPIFFE IDs a token rule is about: one, or all of one trust domain that are below a path. */
export type IdPattern =
  | { readonly kind: "exact"; readonly id: SpiffeId }
  /** Every ID that is `prefix`, a slash, and more. */
  | { readonly kind: "below"; readonly prefix: SpiffeId }

/**
 * Parse what stands in a rule: an ID or a path of the own trust domain, with or without a final `/*`; or `*`, which is every ID
 * of the own trust domain. Nothing spans trust domains. @throws IdentityError `malformed` @see TPO-03
 */
export function parseIdPattern(text: string, own: TrustDomain): IdPattern {
  const whole = text === "*" ? "/*" : text
  const absolute = whole.startsWith("/") ? `${trustDomainId(own)}${whole}` : whole
  if (!absolute.endsWith("/*")) return { kind: "exact", id: unreserved(parseWorkloadId(absolute), own) }
  const sample = parseWorkloadId(`${absolute.slice(0, -1)}x`)
  if (depthOf(sample) > MAX_DEPTH + 1) throw new IdentityError("malformed", `has more than ${MAX_DEPTH} segments`)
  unreserved(sample, own)
  // Cut between two segments of a valid ID, so what is left is one too.
  return { kind: "below", prefix: sample.slice(0, -2) as SpiffeId }
}

/** As it is written in full; equal texts are equal patterns, and no others are. */
export function patternText(pattern: IdPattern): string {
  return pattern.kind === "exact" ? pattern.id : `${pattern.prefix}/*`
}

export function matchesPattern(pattern: IdPattern, id: SpiffeId): boolean {
  return pattern.kind === "exact" ? id === pattern.id : id.startsWith(`${pattern.prefix}/`)
}

/** True when every ID of `inner` is one of `outer`. */
export function isWithinPattern(inner: IdPattern, outer: IdPattern): boolean {
  if (inner.kind === "exact") return matchesPattern(outer, inner.id)
  return outer.kind === "below" && (inner.prefix === outer.prefix || inner.prefix.startsWith(`${outer.prefix}/`))
}

/** The IDs that are in both, which is always one of the two or nothing: patterns form a tree. */
export function intersectPatterns(a: IdPattern, b: IdPattern): IdPattern | undefined {
  if (isWithinPattern(a, b)) return a
  return isWithinPattern(b, a) ? b : undefined
}

/** Assay's own identities get no tokens by rules, as no rule can yield them. @see SID-10 */
export function isOwnReserved(id: SpiffeId, own: TrustDomain): boolean {
  return isReserved(id) && id.startsWith(`${trustDomainId(own)}/`)
}

function unreserved(id: SpiffeId, own: TrustDomain): SpiffeId {
  if (!isOwnReserved(id, own)) return id
  throw new IdentityError("malformed", "is under /assay, which is reserved for Assay's own identities")
}

function depthOf(id: SpiffeId): number {
  return id.split("/").length - AUTHORITY_SEGMENTS
}

/** Segments of the path before `/*`. What one look-up can cost is in proportion. */
const MAX_DEPTH = 16
/** `spiffe:`, nothing, and the trust domain. */
const AUTHORITY_SEGMENTS = 3
