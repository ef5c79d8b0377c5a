import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Holdings } from "./holdings.ts"
import { isDue, mayJoin, untilDue } from "./renewal-schedule.ts"
import type { RetryBook } from "./retry-book.ts"

/** The identities to order now, in one batch; empty when none is due. @see AGT-05 AGT-06 */
export function nextOrders(holdings: Holdings, retries: RetryBook, clock: Clock): readonly SpiffeId[] {
  const due = select(holdings, retries, (id) => {
    const holding = holdings.newest(id)
    return holding === undefined || isDue(holding.schedule, clock)
  })
  if (due.length === 0) return []
  const joining = select(holdings, retries, (id) => {
    const holding = holdings.newest(id)
    return holding !== undefined && !isDue(holding.schedule, clock) && mayJoin(holding.schedule, clock)
  })
  return [...due, ...joining].slice(0, MAX_BATCH)
}

/** Time until {@link nextOrders} may have something, if nothing changes and no clock jumps; at most `atMost`. */
export function untilNextOrder(holdings: Holdings, retries: RetryBook, clock: Clock, atMost: Millis): Millis {
  const waits = (holdings.entitlements ?? []).map(({ spiffeId }) => {
    const holding = holdings.newest(spiffeId)
    return Math.max(retries.wait(spiffeId), holding === undefined ? 0 : untilDue(holding.schedule, clock))
  })
  return Math.min(atMost, ...waits)
}

function select(holdings: Holdings, retries: RetryBook, wanted: (id: SpiffeId) => boolean): readonly SpiffeId[] {
  const ids = (holdings.entitlements ?? []).map(({ spiffeId }) => spiffeId)
  return ids.filter((id) => retries.wait(id) === 0 && wanted(id))
}

/** What {@link IdentityAuthority.issueX509} takes in one call. */
export const MAX_BATCH = 64
