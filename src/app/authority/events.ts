import type { Instant, Seconds } from "../../core/time.ts"

/** What the authorities do, for log and metrics: one call per event. */
export interface AuthorityEvents {
  /** A new issuing authority signs from now on. @param life that it had when it was made */
  issuingAdopted(authorityId: string, notAfter: Instant, life: Seconds): void
  /** A scheduled step failed and will be tried again. */
  stepFailed(what: "issuing-authority" | "audit-seal", thrown: unknown): void
}
