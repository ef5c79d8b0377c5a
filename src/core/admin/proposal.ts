import { hash } from "node:crypto"
import type { AuditEvent } from "../audit/event.ts"
import type { Instant } from "../time.ts"
import type { AdminCaller } from "./caller.ts"

/** What an operator wants done, which waits for a second one. */
export interface Proposal {
  readonly id: string
  /** Its name, e.g. `rotation.emergency`. */
  readonly operation: string
  /** The request, to the letter: JSON. */
  readonly request: string
  /** {@link digestRequest} of both. */
  readonly digest: string
  /** What it is done to, as in audit records. */
  readonly target: string
  readonly proposer: AdminCaller
  /** The role by which the proposer may. */
  readonly role: string
  /** What it was proposed over: it is not done over anything else. */
  readonly over: string
  readonly createdAt: Instant
  readonly expiresAt: Instant
}

/** What was decided about a proposal. `stale`: the state that it was proposed over was no more. */
export type ProposalOutcome = (typeof PROPOSAL_OUTCOMES)[number]

export interface RecordedProposal {
  readonly proposal: Proposal
  /** `undefined` while it waits, and when it waited until its end. */
  readonly decision: ProposalDecision | undefined
  /** What came of it once it was approved; `undefined` until that is written down, and for ever when the server ended first. */
  readonly execution: ProposalExecution | undefined
  /**
   * Of one that is approved and not executed: the audit log has an event of {@link TRACE_TYPES} of the request that approved it,
   * which is written before anything is done, or with it. Without one, nothing was.
   */
  readonly begun: boolean
}

export interface ProposalDecision {
  readonly outcome: ProposalOutcome
  /** Who decided, as in audit records. */
  readonly by: string
  readonly at: Instant
  /** The request that decided it: all that is done about the proposal, then or later, is recorded under it. */
  readonly requestId: string
}

export interface ProposalExecution {
  /** `unknown`: approved by a server that did not write down what came of it. */
  readonly outcome: (typeof EXECUTION_OUTCOMES)[number]
  readonly at: Instant
  /** Why it failed, kebab-case; else empty. */
  readonly reason: string
}

/** How a proposal stands. `approved`: not done, and nothing of it was begun. `unknown`: begun, and nobody wrote down how it ended. */
export type ProposalStanding = (typeof PROPOSAL_STANDINGS)[number]

export function standingOf(recorded: RecordedProposal, now: Instant): ProposalStanding {
  const { proposal, decision, execution, begun } = recorded
  if (decision === undefined) return now < proposal.expiresAt ? "waiting" : "expired"
  if (decision.outcome !== "approved") return decision.outcome
  return execution?.outcome ?? (begun ? "unknown" : "approved")
}

/** Names one request for one operation: SHA-256 in hex. */
export function digestRequest(operation: string, request: string): string {
  return hash("sha256", `${operation}\n${request}`, "hex")
}

export function isPending({ proposal, decision }: RecordedProposal, now: Instant): boolean {
  return decision === undefined && now < proposal.expiresAt
}

export const PROPOSAL_OUTCOMES = ["approved", "rejected", "stale"] as const
export const EXECUTION_OUTCOMES = ["done", "failed", "unknown"] as const
export const PROPOSAL_STANDINGS = [
  "waiting",
  "expired",
  "rejected",
  "stale",
  "approved",
  "done",
  "failed",
  "unknown",
] as const
/** What every operation that may need a second person leaves in the audit log under its request, when it changes anything. @see ADM-28 */
export const TRACE_TYPES = [
  "rotation.changed",
  "ban.added",
  "ban.lifted",
] as const satisfies readonly AuditEvent["type"][]
