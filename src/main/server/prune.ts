import type { SqliteStore } from "../../adapters/sqlite/open-store.ts"
import { BANS_KEPT_FOR } from "../../app/ban/ban-view.ts"
import type { ClockGuard } from "../../app/issue/clock-guard.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Log } from "../../ports/telemetry.ts"

/** Forget issuances, lineages, spent proofs, revocations and bans that ended long ago, a little at a time, until `signal` aborts. */
export async function pruneExpired(
  deps: { readonly store: SqliteStore; readonly clock: Clock; readonly guard: ClockGuard; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const more = deps.guard.steady() ? await pruneBatches(deps) : false
    await deps.clock.sleep(more ? SOON : LATER, signal)
  }
}

/** True when there is more to forget. */
async function pruneBatches({ store, clock, log }: Parameters<typeof pruneExpired>[0]): Promise<boolean> {
  try {
    const issuances = await store.prune(clock.now() - KEPT_FOR, BATCH)
    const proofs = await store.pruneProofs(clock.now() - PROOFS_KEPT_FOR, PROOF_BATCH)
    await store.pruneBans(clock.now() - BANS_KEPT_FOR - PROOFS_KEPT_FOR, BATCH)
    await store.pruneLineages(clock.now() - PROOFS_KEPT_FOR, PROOF_BATCH)
    return issuances === BATCH || proofs === PROOF_BATCH
  } catch (err) {
    log.warn({ err }, "what ended long ago cannot be pruned; trying again")
    return false
  }
}

/** After expiry: long enough for every investigation that starts within a quarter. */
const KEPT_FOR = 90 * 24 * 3600
/** After their end: longer than any clock that is taken for right can be wrong. */
const PROOFS_KEPT_FOR = 3600
const BATCH = 1000
/** As many as a busy server writes in a second. */
const PROOF_BATCH = 10_000
const SOON = 1000
const LATER = 600_000
