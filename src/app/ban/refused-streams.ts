import type { IdentityError } from "../../core/errors.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"
import { actorOf } from "../issue/authorize.ts"
import type { BanEvents } from "./events.ts"

export interface RefusedStreamsDeps {
  readonly audit: AuditLog
  readonly clock: Pick<Clock, "now">
  readonly events: Pick<BanEvents, "recordFailed">
}

/**
 * A stream was refused to the banned: into the audit log, of each caller once in {@link INTERVAL}, since whoever is refused comes back
 * again and again. Nobody waits for it. @see BAN-06
 */
export type RefusedStream = (attested: Attested, error: IdentityError) => void

export function makeRefusedStream({ audit, clock, events }: RefusedStreamsDeps): RefusedStream {
  /** When it was recorded last, oldest first. */
  const recorded = new Map<string, Instant>()
  return (attested, { code, reason = code }) => {
    const [actor, now] = [actorOf(attested), clock.now()]
    if ((recorded.get(actor) ?? 0) + INTERVAL > now) return
    recorded.delete(actor)
    recorded.set(actor, now)
    const [oldest] = recorded.keys()
    if (recorded.size > MAX_CALLERS && oldest !== undefined) recorded.delete(oldest)
    const event = { type: "svid.refused", at: now, actor, requestId: "stream", kind: "stream", code, reason } as const
    audit.append(event).catch((thrown: unknown) => {
      recorded.delete(actor) // the next time counts
      events.recordFailed(thrown)
    })
  }
}

const INTERVAL: Seconds = 300
const MAX_CALLERS = 10_000
