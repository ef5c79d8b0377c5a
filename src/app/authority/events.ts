/** What the authorities do, for log and metrics: one call per event. */
export interface AuthorityEvents {
  /** A new issuing authority signs from now on. */
  issuingAdopted(authorityId: string, notAfter: number): void
  /** A scheduled step failed and will be tried again. */
  stepFailed(what: "issuing-authority" | "audit-seal", thrown: unknown): void
}
