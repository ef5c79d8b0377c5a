import { z } from "zod"
import { callerText } from "../../core/admin/caller.ts"
import { PROPOSAL_STANDINGS, type Proposal, type RecordedProposal, standingOf } from "../../core/admin/proposal.ts"
import { defineContract, instant } from "./contract.ts"

const id = () => z.string().regex(/^[0-9a-f]{16}$/, "must be the 16 hex digits of a proposal")
const digest = () => z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex digits")

/** What waits; the reply to whoever asked for what needs a second person. */
export const proposed = z.strictObject({
  id: id(),
  operation: z.string(),
  request: z.string().describe("The request, to the letter, as JSON."),
  digest: digest().describe("SHA-256 of operation, a line feed and request, in hex."),
  target: z.string(),
  proposer: z.string(),
  created_at: instant(),
  expires_at: instant(),
})

const recorded = proposed.extend({
  outcome: z
    .enum(PROPOSAL_STANDINGS)
    .describe(
      "stale: what it was proposed over is no more. approved: not done, and nothing of it was begun. unknown: begun, and how it ended was not written down.",
    ),
  decided_by: z.string().optional(),
  decided_at: instant().optional(),
  executed_at: instant().optional().describe("When it was done, or failed."),
  reason: z.string().optional().describe("Why it failed."),
  next: z.string().optional().describe("What can be done about it."),
})

export const approvalList = defineContract({
  name: "approval.list",
  verb: "approvals",
  method: "GET",
  path: "/approvals",
  summary: "What waits for a second person, and what became of the last ones, newest first",
  request: z.strictObject({}),
  response: z.strictObject({ now: instant(), proposals: z.array(recorded) }),
})

export const approvalApprove = defineContract({
  name: "approval.approve",
  verb: "approvals",
  method: "POST",
  path: "/approvals/{id}/approve",
  summary: "Have done what somebody else proposed; needs the verb of that, too",
  destructive: true,
  request: z.strictObject({ id: id(), digest: digest().describe("Of the proposal, as it was read.") }),
  response: z.strictObject({
    proposal: recorded,
    result: z.string().describe("The reply of the operation, as JSON; empty for a dry run."),
  }),
})

export const approvalReject = defineContract({
  name: "approval.reject",
  verb: "approvals",
  method: "POST",
  path: "/approvals/{id}/reject",
  summary: "Have a proposal never done; its proposer may, too",
  request: z.strictObject({ id: id() }),
  response: z.strictObject({ proposal: recorded }),
})

export const APPROVAL_CONTRACTS = [approvalList, approvalApprove, approvalReject] as const

export function proposalReply(proposal: Proposal) {
  const { id: name, operation, request, digest: named, target, proposer, createdAt, expiresAt } = proposal
  const about = { id: name, operation, request, digest: named, target, proposer: callerText(proposer) }
  return { ...about, created_at: createdAt, expires_at: expiresAt }
}

export function recordedReply(recordedProposal: RecordedProposal, now: number): z.input<typeof recorded> {
  const { proposal, decision, execution } = recordedProposal
  const outcome = standingOf(recordedProposal, now)
  const next = now < proposal.expiresAt || outcome === "unknown" ? NEXT_STEPS[outcome] : undefined
  return {
    ...proposalReply(proposal),
    outcome,
    ...(decision === undefined ? {} : { decided_by: decision.by, decided_at: decision.at }),
    ...(execution === undefined ? {} : { executed_at: execution.at }),
    ...(execution === undefined || execution.reason === "" ? {} : { reason: execution.reason }),
    ...(next === undefined ? {} : { next }),
  }
}

const NEXT_STEPS: { readonly [Outcome in z.input<typeof recorded>["outcome"]]?: string } = {
  approved: "approve it again: nothing of it was done",
  unknown: "see whether it was done (assay rotation status, assay ban list), and propose it anew if it was not",
}
