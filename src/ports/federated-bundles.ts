import type { AuditEvent } from "../core/audit/event.ts"
import type { TrustBundle } from "../core/spiffe/bundle.ts"
import type { TrustDomain } from "../core/spiffe/id.ts"
import type { Instant } from "../core/time.ts"

/** What was last accepted of another trust domain. Nothing in it is secret. */
export interface KeptBundle {
  readonly bundle: TrustBundle
  /** When this content was first read. */
  readonly acceptedAt: Instant
  /** Of the own trust domain, when it was written: what a store from a backup knows is of another one. @see TD-17 */
  readonly incarnation: string
}

/**
 * The last good bundle of each other trust domain; whoever writes bounds how many there are, and how long each is. Trusting it means:
 * whoever can write it can have a foreign root trusted, by a start at which the file of that trust domain cannot be read.
 */
export interface FederatedBundles {
  /** All of them, by trust domain. @throws IdentityError `not-ready`, `rate-limited` */
  list(): Promise<readonly KeptBundle[]>
  /**
   * Replace what is known of its trust domain: durable, with its audit record, when it resolves. Doing it twice is doing it once, but for
   * the record. @throws IdentityError `not-ready` when the outcome is unknown; `rate-limited`
   */
  keep(kept: KeptBundle, audit: AuditEvent): Promise<void>
  /** Durable as {@link keep}, also when nothing was known. @throws IdentityError as {@link keep} */
  forget(trustDomain: TrustDomain, audit: AuditEvent): Promise<void>
}
