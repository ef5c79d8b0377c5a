import { callerText } from "../../core/admin/caller.ts"
import type { Proposal, ProposalOutcome } from "../../core/admin/proposal.ts"
import { type ErrorCode, type IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Clock } from "../../ports/clock.ts"
import type { ProposalLog } from "../../ports/proposals.ts"
import type { AdminCall, PreparedOperation } from "./operation.ts"

export interface CarryOutDeps {
  readonly log: ProposalLog
  readonly clock: Clock
  /** What came of a proposal could not be written down: it stands as `unknown`, or as approved when nothing was begun. */
  readonly unsettled: (proposal: string, thrown: unknown) => void
}

/** @throws IdentityError as {@link ProposalLog.decide} */
export function decideProposal(
  { log, clock }: CarryOutDeps,
  proposal: Proposal,
  outcome: ProposalOutcome,
  { caller, requestId }: AdminCall,
): Promise<void> {
  const [at, by] = [clock.now(), callerText(caller)]
  const said = { type: "admin.decided", at, actor: by, requestId, ...aboutOf(proposal), outcome } as const
  return log.decide(proposal.id, { outcome, by, at, requestId }, said)
}

/** @throws IdentityError as {@link ProposalLog.resume} */
export function resumeProposal(
  { log, clock }: CarryOutDeps,
  proposal: Proposal,
  { caller, requestId }: AdminCall,
): Promise<void> {
  const [at, actor] = [clock.now(), callerText(caller)]
  const about = aboutOf(proposal)
  return log.resume(proposal.id, at, { type: "admin.decided", at, actor, requestId, ...about, outcome: "resumed" })
}

/**
 * Do what was approved, for its proposer, and write down what came of it. A failure that says nothing about the outcome, or that
 * may pass, leaves it open. @param requestId of the request that approved it: what is done is recorded under that, also when it is
 * done later @throws IdentityError as the operation @see ADM-28
 */
export async function carryOut(
  deps: CarryOutDeps,
  { proposal, prepared, requestId }: Approved,
  call: AdminCall,
  signal: AbortSignal,
): Promise<object> {
  const { proposer: caller, over } = proposal
  let reply: object
  try {
    reply = await prepared.run({ caller, requestId, dryRun: false, over }, signal)
  } catch (thrown) {
    const error = toIdentityError(thrown)
    if (!OPEN.has(error.code)) await settleProposal(deps, proposal, error, call)
    throw error
  }
  await settleProposal(deps, proposal, undefined, call)
  return reply
}

export interface Approved {
  readonly proposal: Proposal
  readonly prepared: PreparedOperation
  readonly requestId: string
}

/** Never throws: what was done is done, whether that could be written down or not. @param error `undefined` for what succeeded */
export async function settleProposal(
  { log, clock, unsettled }: CarryOutDeps,
  proposal: Proposal,
  error: IdentityError | undefined,
  { caller, requestId }: AdminCall,
): Promise<void> {
  const at = clock.now()
  const outcome = error === undefined ? "done" : "failed"
  const reason = error === undefined ? "" : (error.reason ?? error.code)
  const common = { at, actor: callerText(caller), requestId }
  const said = { type: "admin.executed", ...common, ...aboutOf(proposal), outcome, reason } as const
  try {
    await log.settle(proposal.id, { outcome, at, reason }, said)
  } catch (thrown) {
    unsettled(proposal.id, thrown)
  }
}

function aboutOf({ id, operation, target, digest, proposer }: Proposal) {
  return { operation, target, proposal: id, digest, proposer: callerText(proposer) }
}

/** Nobody knows what came of it, or it may be tried again. */
const OPEN: ReadonlySet<ErrorCode> = new Set([
  "not-ready",
  "attestor-down",
  "rate-limited",
  "cancelled",
  "deadline",
  "internal",
])
