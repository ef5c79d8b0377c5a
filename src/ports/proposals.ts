import type { Proposal, ProposalDecision, ProposalExecution, RecordedProposal } from "../core/admin/proposal.ts"
import type { AuditEvent } from "../core/audit/event.ts"
import type { Instant } from "../core/time.ts"

/**
 * What waits for a second person. Trusting it means: whoever can write it can have a request done that nobody proposed, by
 * the next approver who does not read it. Bounded: at most 64 wait at once, and the newest 1000 of the others are remembered.
 */
export interface ProposalLog {
  /**
   * Durable, with its audit record, when it resolves. @throws IdentityError `already-exists`; `rate-limited`, reason
   * `proposals-full`; `not-ready` when the outcome is unknown
   */
  add(proposal: Proposal, audit: AuditEvent): Promise<void>
  /**
   * Decide one that waits, once: durable, with its audit record, when it resolves. @throws IdentityError `conflict`, reason
   * `proposal-decided`, when it waits no more at `decision.at`, or never did; `not-ready` when the outcome is unknown
   */
  decide(id: string, decision: ProposalDecision, audit: AuditEvent): Promise<void>
  /**
   * That one is about to be done which was approved, but not done: durable, with its audit record, when it resolves. All writes
   * that came before it are looked at. @throws IdentityError `conflict`, reason `proposal-begun` when something of it was begun, or
   * `proposal-decided` when it is not approved, settled, or too old at `at`; `not-ready` when the outcome is unknown @see ADM-28
   */
  resume(id: string, at: Instant, audit: AuditEvent): Promise<void>
  /**
   * What came of one that was approved, once: durable, with its audit record, when it resolves.
   * @throws IdentityError `conflict`, reason `proposal-decided`; `not-ready` when the outcome is unknown
   */
  settle(id: string, execution: ProposalExecution, audit: AuditEvent): Promise<void>
  /** Newest first, all that is remembered. */
  list(): Promise<readonly RecordedProposal[]>
}
