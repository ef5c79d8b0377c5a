import type { SqliteStore } from "../../adapters/sqlite/open-store.ts"
import { BANS_KEPT_FOR } from "../../app/ban/ban-view.ts"
import type { ClockGuard } from "../../app/issue/clock-guard.ts"
import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Log } from "../../ports/telemetry.ts"

interface PruneDeps {
  readonly store: Pick<SqliteStore, "prune" | "pruneProofs" | "pruneBans" | "pruneLineages">
  readonly clock: Clock
  readonly guard: Pick<ClockGuard, "steady">
  readonly log: Log
}

/**
 * Forget issuances, lineages, spent proofs, revocations and bans that ended long ago, a little at a time, until `signal` aborts.
 * Each goes at its own pace, and is looked through to its end. @see STO-26
 */
export async function pruneExpired(deps: PruneDeps, signal: AbortSignal): Promise<void> {
  const { store, clock } = deps
  await Promise.all([
    keepPruning(deps, SOON_INTENTS, () => store.prune(clock.now() - KEPT_FOR, BATCH), signal),
    keepPruning(deps, SOON_PROOFS, () => store.pruneProofs(clock.now() - PROOFS_KEPT_FOR, PROOF_BATCH), signal),
    keepPruning(deps, SOON, () => store.pruneBans(clock.now() - BANS_KEPT_FOR - PROOFS_KEPT_FOR, BATCH), signal),
    keepPruning(deps, SOON_LINEAGES, () => store.pruneLineages(clock.now() - PROOFS_KEPT_FOR, LINEAGE_BATCH), signal),
  ])
}

async function keepPruning(
  { clock, guard, log }: PruneDeps,
  soon: Millis,
  prune: () => Promise<{ readonly more: boolean }>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let more = false
    try {
      more = guard.steady() && (await prune()).more
    } catch (err) {
      log.warn({ err }, "what ended long ago cannot be pruned; trying again")
    }
    await clock.sleep(more ? soon : LATER, signal)
  }
}

/** After expiry: long enough for every investigation that starts within a quarter. */
const KEPT_FOR = 90 * 24 * 3600
/** After their end: longer than any clock that is taken for right can be wrong. */
const PROOFS_KEPT_FOR = 3600
const BATCH = 1000
/** Rows of a million in no order: some 25 ms, for which a commit waits. */
const PROOF_BATCH = 2000
const LINEAGE_BATCH = 1000
const SOON = 1000
/** Ten thousand lineages a second, in batches that no commit notices. */
const SOON_LINEAGES = 100
/** Ten thousand proofs a second, as many as a busy server writes. */
const SOON_PROOFS = 200
/** Five thousand intents a second, as many as a server writes on two cores; in small batches, since each holds up a commit. */
const SOON_INTENTS = 200
const LATER = 600_000
