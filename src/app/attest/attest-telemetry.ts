import type { IdentityError } from "../../core/errors.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Millis } from "../../core/time.ts"

/** What attestation reports. One function per event, so that counter and log record are written together. */
export interface AttestTelemetry {
  /** `remembered`: answered from the cache, nothing was verified again. */
  attested(attested: Attested, how: "checked" | "remembered"): void
  refused(error: IdentityError): void
  /** One call to a cluster's TokenReview ended. */
  reviewed(cluster: string, outcome: "answered" | "failed", took: Millis): void
}
