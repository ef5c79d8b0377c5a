import type { Proposal, ProposalDecision, RecordedProposal } from "../core/admin/proposal.ts"
import type { AuditEvent } from "../core/audit/event.ts"

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
  /** Newest first, all that is remembered. */
  list(): Promise<readonly RecordedProposal[]>
}
