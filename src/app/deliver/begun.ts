import type { Millis } from "../../core/time.ts"
import { type IdentitySource, STARTING } from "./identity-source.ts"
import { limitLife } from "./limit-life.ts"

/**
 * Resolves once a source that has just begun knows what it has, at the latest after {@link LONGEST_START} or when `signal` aborts.
 * A workload starts beside its agent, and a client that is refused comes back a second later. @see WA-17 XDS-10
 */
export async function begun(source: IdentitySource, signal: AbortSignal): Promise<void> {
  // Most calls come later, and leave nothing behind that waits.
  if (!isStarting(source)) return
  using start = limitLife(LONGEST_START)
  const until = AbortSignal.any([signal, start.signal])
  while (!until.aborted && isStarting(source)) await source.changed(until)
}

function isStarting(source: IdentitySource): boolean {
  const state = source.current()
  return state.kind === "waiting" && state.error.reason === STARTING
}

const LONGEST_START: Millis = 5_000
