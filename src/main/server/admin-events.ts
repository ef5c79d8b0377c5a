import type { ServerMetrics } from "../../adapters/metrics/registry.ts"
import { toIdentityError } from "../../core/errors.ts"
import type { Log } from "../../ports/telemetry.ts"
import type { AdminEvents } from "../../transports/admin/perform.ts"

interface StoreTrouble {
  readonly unsettled: (proposal: string, thrown: unknown) => void
}

/** What operators do, as one log record and one count each. */
export function makeAdminEvents(log: Log, metrics: Pick<ServerMetrics, "adminRequests">): AdminEvents & StoreTrouble {
  return {
    unsettled: (proposal, thrown) => {
      log.warn({ proposal, err: toIdentityError(thrown) }, "what came of a proposal is not written down")
    },
    answered: (operation, caller, requestId, error) => {
      metrics.adminRequests.inc({ operation, outcome: error?.code ?? "done" })
      if (error === undefined) log.debug({ operation, caller, requestId }, "answered an operator")
      else {
        const level = error.code === "internal" ? "error" : "info"
        log[level](
          { operation, caller, requestId, code: error.code, reason: error.reason, err: error },
          "refused an operator",
        )
      }
    },
    proposed: (operation, caller, requestId, proposal) => {
      metrics.adminRequests.inc({ operation, outcome: "proposed" })
      log.info({ operation, caller, requestId, proposal }, "what an operator wants waits for a second one")
    },
    unauthenticated: (requestId, error) => {
      metrics.adminRequests.inc({ operation: "", outcome: error.code })
      log.info({ requestId, code: error.code, reason: error.reason }, "somebody unknown asked the admin API")
    },
  }
}
