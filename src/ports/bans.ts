import type { AuditEvent } from "../core/audit/event.ts"
import type { Ban, BanTarget, RecordedBan } from "../core/ban/ban.ts"
import type { Instant } from "../core/time.ts"

/** A part of the record, and how far the whole is. */
export interface BanPage {
  /** In order of their sequence. */
  readonly records: readonly RecordedBan[]
  /** Of the newest change there ever was; 0 for none. Read together with the records. */
  readonly head: number
}

/**
 * The record of who is banned: one row for a target. Trusting it means: to whom it lost a ban, identities are given. Bounded:
 * when it is full, new bans are refused and none is forgotten before its time.
 */
export interface BanLog {
  /**
   * Durable, with its audit record, when it resolves: from then on no intent is recorded by whoever did not see it
   * ({@link IntentGuards.bansSeen}). A second ban of a target that is banned never takes anything back: it ends at the later of
   * both times, and is as old as the first. @throws IdentityError `not-ready` when the outcome is unknown; `rate-limited`, reason `bans-full`
   */
  add(ban: Ban, audit: AuditEvent): Promise<void>
  /** Durable as {@link add}. @throws IdentityError `not-found` when no ban of `target` is in force at `at`; `not-ready` */
  lift(target: BanTarget, at: Instant, audit: AuditEvent): Promise<void>
  /** Up to `limit` (1 to 10,000) records after `sequence`. A record that changes gets a new sequence. */
  readAfter(sequence: number, limit: number): Promise<BanPage>
}
