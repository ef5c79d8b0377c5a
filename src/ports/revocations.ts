import type { AuditEvent } from "../core/audit/event.ts"
import type { SpiffeId } from "../core/spiffe/id.ts"
import type { Instant } from "../core/time.ts"

/** What nobody shall accept any more. */
export type Revocation =
  | {
      readonly kind: "token"
      /** `jti` of a token of ours. */
      readonly tokenId: string
      /** When the token expires; the revocation may be forgotten then. */
      readonly until: Instant
    }
  | {
      readonly kind: "subject"
      readonly subject: SpiffeId
      /** Every token that was issued at this instant or before. */
      readonly issuedUntil: Instant
      /** When the last such token has expired. */
      readonly until: Instant
    }

export interface RecordedRevocation {
  /** Grows with every record; a record is visible before any with a higher number is. */
  readonly sequence: number
  readonly revocation: Revocation
}

/**
 * The record of what was revoked. Trusting it means: what it lost is accepted until it expires. Bounded: when it is full, new
 * revocations are refused and none is forgotten before its time.
 */
export interface RevocationLog {
  /**
   * Durable, together with its audit record, when it resolves. A second revocation of the same token or subject takes the
   * place of the first, and never takes anything back: each instant is the later one of both.
   * @throws IdentityError `not-ready` when the outcome is unknown: say it again; `rate-limited`, reason `revocations-full`
   */
  record(revocation: Revocation, audit: AuditEvent): Promise<void>
  /** Up to `limit` (1 to 10,000) records after `sequence`, in order. */
  readAfter(sequence: number, limit: number): Promise<readonly RecordedRevocation[]>
}
