import { makeChangeSignal } from "../../core/change-signal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Readiness } from "../../transports/grpc/health-service.ts"

/** Readiness that is looked at once a second, so that those who watch it hear of changes that nothing announces. */
export interface WatchedReadiness extends Readiness {
  run(signal: AbortSignal): Promise<void>
}

/** @param conditions all of them hold as long as the process can do its work */
export function watchReadiness(conditions: readonly (() => boolean)[], clock: Clock): WatchedReadiness {
  const changes = makeChangeSignal()
  const ready = (): boolean => conditions.every((holds) => holds())
  return {
    ready,
    changed: (signal) => changes.changed(signal),
    run: async (signal) => {
      let known = ready()
      while (!signal.aborted) {
        await clock.sleep(LOOK_EVERY, signal)
        if (ready() === known) continue
        known = !known
        changes.fire()
      }
    },
  }
}

const LOOK_EVERY = 1000
