import type { ServerMetrics } from "../../adapters/metrics/registry.ts"
import type { FederationEvents, Standby } from "../../app/federate/events.ts"
import type { Log } from "../../ports/telemetry.ts"

/** What happens to the trust in other trust domains, as log records and counts. @see TD-18 TD-19 */
export function makeFederationEvents(log: Log, metrics: ServerMetrics): FederationEvents {
  return {
    accepted: ({ trustDomain, sequence, x509Authorities, jwtAuthorities }, before) => {
      const counts = { certificates: x509Authorities.length, jwtKeys: jwtAuthorities.length }
      const fields = { trustDomain, sequence, before: before?.sequence, ...counts }
      if (before !== undefined && sequence < before.sequence) {
        log.warn(fields, "a federated bundle went back to an earlier sequence number; it is in force, as its file says")
      } else log.info(fields, "a federated bundle is in force")
    },
    dropped: (trustDomain) => log.warn({ trustDomain }, "this trust domain is not configured, and trusted no more"),
    fileBad: ({ trustDomain, bundleFile }, standby, err) => {
      const fields = { trustDomain, file: bundleFile, err }
      if (standby === "last-read") return log.warn(fields, IN_FORCE[standby])
      log.error(fields, IN_FORCE[standby])
    },
    fileWell: ({ trustDomain, bundleFile }) =>
      log.info({ trustDomain, file: bundleFile }, "the file of a federated bundle is well again, and in force"),
    keepFailed: (err, isNews) => {
      metrics.federatedKeepFailures.inc()
      if (isNews) log.error({ err }, "federated bundles in force cannot be kept for the next start; trying again")
    },
    keptAgain: () => log.info({}, "all federated bundles in force are kept for the next start again"),
    publishFailed: (err) => log.error({ err }, "federated bundles cannot be published; trying again"),
  }
}

const IN_FORCE: Readonly<Record<Standby, string>> = {
  "last-read": "the file of a federated bundle is bad; the last good one stays in force",
  stored: "the file of a federated bundle is bad; the last good one before this start is in force",
  none: "the file of a federated bundle is bad, and no other is known: this trust domain is not trusted",
}
