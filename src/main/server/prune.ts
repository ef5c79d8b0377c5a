import type { SqliteStore } from "../../adapters/sqlite/open-store.ts"
import type { ClockGuard } from "../../app/issue/clock-guard.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Log } from "../../ports/telemetry.ts"

/** Forget issuances that expired long ago, a little at a time, until `signal` aborts. */
export async function pruneExpired(
  deps: { readonly store: SqliteStore; readonly clock: Clock; readonly guard: ClockGuard; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const gone = deps.guard.steady() ? await pruneBatch(deps) : 0
    await deps.clock.sleep(gone === BATCH ? SOON : LATER, signal)
  }
}

function pruneBatch({ store, clock, log }: Parameters<typeof pruneExpired>[0]): Promise<number> {
  return store.prune(clock.now() - KEPT_FOR, BATCH).catch((err: unknown) => {
    log.warn({ err }, "old issuances cannot be pruned; trying again")
    return 0
  })
}

/** After expiry: long enough for every investigation that starts within a quarter. */
const KEPT_FOR = 90 * 24 * 3600
const BATCH = 1000
const SOON = 1000
const LATER = 600_000
