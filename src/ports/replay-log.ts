import type { Instant } from "../core/time.ts"

/** What a proof was used for. The same id in two uses is two ids. @see INV-18 */
export type ReplayUse = "client-assertion" | "assertion-grant" | "dpop-proof"

export interface ReplayClaim {
  readonly use: ReplayUse
  /** What must not be used twice, with whose it is: 1 to 4096 characters. Only its SHA-256 is kept. */
  readonly id: string
  /** It was worth nothing before: nobody can have used it then. 0 when nothing is known of that. */
  readonly from: Instant
  /** The proof is worthless from then on, and the claim may be forgotten. */
  readonly until: Instant
}

/**
 * Proofs that are good once. Trusting it means: a proof that it never saw, or that it forgot before its time, passes again.
 * Bounded: when it holds as many claims as it can, new ones are refused and none is forgotten.
 */
export interface ReplayLog {
  /**
   * Of all calls with the same use and id, one gets `claimed`; the claim is durable when it resolves. Every other one gets
   * `replayed`, also long after {@link ReplayClaim.until}.
   * @throws IdentityError `not-ready` when the outcome is unknown, which is neither: the proof may be spent, and nothing may be
   * given for it; `rate-limited`, reason `replay-log-full` @see INV-14 INV-18 INV-25
   */
  claim(claim: ReplayClaim): Promise<"claimed" | "replayed">
}
