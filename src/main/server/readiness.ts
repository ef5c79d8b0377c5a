import { makeChangeSignal } from "../../core/change-signal.ts"
import type { IdentityError } from "../../core/errors.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Readiness } from "../../transports/grpc/health-service.ts"

/** Readiness that is looked at once a second, so that those who watch it hear of changes that nothing announces. */
export interface WatchedReadiness extends Readiness {
  run(signal: AbortSignal): Promise<void>
}

/** Why the process cannot do its work; `undefined` while nothing stands in its way. */
export type Hindrance = () => IdentityError | undefined

/** @param changed is told, while it runs, why the process is not ready any more, and with `undefined` that it is again @see IDA-35 */
export function watchReadiness(
  hindrances: readonly Hindrance[],
  clock: Clock,
  changed: (failure: IdentityError | undefined) => void,
): WatchedReadiness {
  const changes = makeChangeSignal()
  const hindrance: Hindrance = () => {
    for (const failureOf of hindrances) {
      const failure = failureOf()
      if (failure !== undefined) return failure
    }
    return undefined
  }
  const ready = (): boolean => hindrance() === undefined
  return {
    ready,
    changed: (signal) => changes.changed(signal),
    run: async (signal) => {
      let known = ready()
      while (!signal.aborted) {
        await clock.sleep(LOOK_EVERY, signal)
        const failure = hindrance()
        if ((failure === undefined) === known) continue
        known = !known
        changed(failure)
        changes.fire()
      }
    },
  }
}

const LOOK_EVERY = 1000
