import { hash } from "node:crypto"
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

/** What became of a proposal. `stale`: the state that it was proposed over was no more. */
export type ProposalOutcome = (typeof PROPOSAL_OUTCOMES)[number]

export interface RecordedProposal {
  readonly proposal: Proposal
  /** `undefined` while it waits, and when it waited until its end. */
  readonly decision: ProposalDecision | undefined
}

export interface ProposalDecision {
  readonly outcome: ProposalOutcome
  /** Who decided, as in audit records. */
  readonly by: string
  readonly at: Instant
}

/** Names one request for one operation: SHA-256 in hex. */
export function digestRequest(operation: string, request: string): string {
  return hash("sha256", `${operation}\n${request}`, "hex")
}

export function isPending({ proposal, decision }: RecordedProposal, now: Instant): boolean {
  return decision === undefined && now < proposal.expiresAt
}

export const PROPOSAL_OUTCOMES = ["approved", "rejected", "stale"] as const
