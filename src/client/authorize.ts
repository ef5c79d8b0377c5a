import { IdentityError } from "../core/errors.ts"
import { parseTrustDomain, parseWorkloadId, type SpiffeId, trustDomainOf } from "../core/spiffe/id.ts"

/**
 * Who may be at the other end of a connection. It is asked with an ID whose chain is verified already; nothing but `true`
 * lets the peer in, and a function that throws keeps it out.
 */
export type Authorize = (peer: SpiffeId) => boolean

/** Every identity of every trust domain that there is a bundle for, federated ones included. */
export function authorizeAny(): Authorize {
  return () => true
}

/** One ID, exactly. @throws IdentityError `malformed` when it is no SPIFFE ID with a path */
export function authorizeId(id: string): Authorize {
  return authorizeOneOf([id])
}

/** One of these IDs, exactly. @throws IdentityError `malformed` for an empty list, or what is no SPIFFE ID with a path */
export function authorizeOneOf(ids: readonly string[]): Authorize {
  const allowed: ReadonlySet<SpiffeId> = new Set(ids.map(parseWorkloadId))
  if (allowed.size === 0) throw new IdentityError("malformed", "no SPIFFE ID is allowed")
  return (peer) => allowed.has(peer)
}

/** Every identity of one trust domain. @param trustDomain its name, e.g. `prod.example` @throws IdentityError `malformed` */
export function authorizeMemberOf(trustDomain: string): Authorize {
  const allowed = parseTrustDomain(trustDomain)
  return (peer) => trustDomainOf(peer) === allowed
}
