import type { Ban, BanTarget, RecordedBan } from "../../core/ban/ban.ts"
import type { Millis } from "../../core/time.ts"

/** What happens about bans, for log and metrics: one call per event. */
export interface BanEvents {
  added(ban: Ban, requestId: string): void
  lifted(target: BanTarget, requestId: string): void
  /** Every live stream of whom a ban is about has been told, the last one `elapsed` after the ban was given. */
  propagated(ban: RecordedBan, streams: number, elapsed: Millis): void
  /** What other replicas banned cannot be read; it is tried again. */
  readFailed(error: unknown): void
  /** Who holds keys that were banned cannot be read; it is tried again. */
  holdersUnknown(error: unknown): void
}
