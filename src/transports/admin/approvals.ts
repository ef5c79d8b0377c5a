import { type AdminCaller, callerSubject, callerText } from "../../core/admin/caller.ts"
import { type AdminRole, type AdminScope, decideAdmin } from "../../core/admin/decide-admin.ts"
import {
  digestRequest,
  isPending,
  type Proposal,
  type ProposalStanding,
  type RecordedProposal,
  standingOf,
} from "../../core/admin/proposal.ts"
import type { AdminVerb } from "../../core/admin/verb.ts"
import { IdentityError } from "../../core/errors.ts"
import { makeInTurn } from "../../core/in-turn.ts"
import { parseJsonObject } from "../../core/json.ts"
import type { Seconds } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { ProposalLog } from "../../ports/proposals.ts"
import type { Random } from "../../ports/random.ts"
import { type CarryOutDeps, carryOut, decideProposal, resumeProposal, settleProposal } from "./carry-out.ts"
import type { Contract } from "./contract.ts"
import type { AdminCall, Operation, PreparedOperation } from "./operation.ts"
import { type AdminRequest, roleRefusal } from "./perform.ts"

/** What needs a second person. */
export interface ApprovalTerms {
  readonly verbs: readonly AdminVerb[]
  /** Names of operations that one may do alone. */
  readonly except: readonly string[]
  readonly lifetime: Seconds
}

export interface ApprovalsDeps extends CarryOutDeps {
  /** `undefined`: nothing does. */
  readonly terms: () => ApprovalTerms | undefined
  readonly operations: () => readonly Operation[]
  readonly roles: () => readonly AdminRole[]
  readonly random: Random
}

/** Requests that are done when somebody else than who made them wants them, too. @see ADM-21..ADM-25 */
export interface Approvals {
  isNeeded(contract: Contract): boolean
  /** Durable when it resolves. @throws IdentityError `rate-limited`, reason `proposals-full`; `not-ready` */
  propose(operation: Operation, prepared: PreparedOperation, wish: Wish): Promise<Proposal>
  /** What the caller proposed, and what is about identities that a role of his for `approvals` covers. @see ADM-06 */
  list(caller: AdminCaller): Promise<readonly RecordedProposal[]>
  /**
   * The reply of the operation; `undefined` for a dry run. Again for one that was approved, when nothing of it was done.
   * @throws IdentityError `not-found`; `conflict` for what waits no more or is stale; `policy-denied` for who may not; as the
   * operation @see ADM-28
   */
  approve(id: string, digest: string, call: AdminCall, signal: AbortSignal): Promise<object | undefined>
  /** @throws IdentityError as {@link approve} */
  reject(id: string, call: AdminCall): Promise<void>
}

/** A request that may be done, but for the second person. */
export interface Wish extends AdminRequest {
  readonly target: string
  readonly role: string
}

export function makeApprovals(deps: ApprovalsDeps): Approvals {
  const underWay = new Set<string>()
  const inTurn = makeInTurn() // so that each counts those before it
  return {
    isNeeded: ({ name, verb, method }) => {
      const terms = deps.terms()
      return terms !== undefined && method !== "GET" && terms.verbs.includes(verb) && !terms.except.includes(name)
    },
    propose: (operation, prepared, wish) => inTurn(() => propose(deps, operation, prepared, wish)),
    list: async (caller) => (await deps.log.list()).filter(({ proposal }) => isShown(deps, caller, proposal)),
    approve: async (id, digest, call, signal) => {
      if (underWay.has(id)) throw conflict("proposal-under-way", "it is being done right now")
      underWay.add(id)
      try {
        return await approve(deps, { id, digest }, call, signal)
      } finally {
        underWay.delete(id)
      }
    },
    reject: async (id, call) => {
      const { proposal } = await findOpen(deps, id, ["waiting"])
      if (!isOwn(call.caller, proposal)) requireRole(deps, call, ...prepareAgain(deps, proposal))
      await decideProposal(deps, proposal, "rejected", call)
    },
  }
}

async function propose(
  { log, clock, random, terms }: ApprovalsDeps,
  { contract }: Operation,
  prepared: PreparedOperation,
  { caller, requestId, input, target, role }: Wish,
): Promise<Proposal> {
  await requireRoom(log, callerSubject(caller), clock)
  const at = clock.now()
  const request = JSON.stringify(input)
  const proposal: Proposal = {
    id: Buffer.from(random(8)).toString("hex"),
    operation: contract.name,
    request,
    digest: digestRequest(contract.name, request),
    target,
    proposer: caller,
    role,
    over: prepared.over(),
    createdAt: at,
    expiresAt: at + (terms()?.lifetime ?? 0),
  }
  const { id, operation, digest, expiresAt } = proposal
  const common = { at, actor: callerText(caller), requestId, operation, target, role }
  await log.add(proposal, { type: "admin.proposed", ...common, proposal: id, digest, expiresAt })
  return proposal
}

/** Nobody fills the log alone, so that there is room for the others' emergencies. */
async function requireRoom(log: ProposalLog, subject: string, clock: Clock): Promise<void> {
  const own = (await log.list()).filter((one) => {
    return isPending(one, clock.now()) && callerSubject(one.proposal.proposer) === subject
  })
  if (own.length < MAX_OWN) return
  throw new IdentityError("rate-limited", "too many of your requests wait for approval", {
    reason: "proposals-full",
    next: "have some of them approved or rejected (assay approval list)",
  })
}

async function approve(
  deps: ApprovalsDeps,
  { id, digest }: { readonly id: string; readonly digest: string },
  call: AdminCall,
  signal: AbortSignal,
): Promise<object | undefined> {
  const { proposal, decision } = await findOpen(deps, id, ["waiting", "approved"])
  if (proposal.digest !== digest) throw conflict("digest-mismatch", "the proposal is not the one that was read")
  const [operation, prepared] = prepareAgain(deps, proposal)
  requireOther(deps, proposal, call, operation, prepared)
  if (prepared.over() !== proposal.over) {
    if (!call.dryRun && decision === undefined) await decideProposal(deps, proposal, "stale", call)
    if (!call.dryRun && decision !== undefined) await settleProposal(deps, proposal, stale(), call)
    throw stale()
  }
  if (call.dryRun) return undefined
  await (decision === undefined
    ? decideProposal(deps, proposal, "approved", call)
    : resumeProposal(deps, proposal, call))
  const { requestId } = decision ?? call
  return carryOut(deps, { proposal, prepared, requestId }, call, signal)
}

/** @throws IdentityError `not-found`; `conflict` when it does not stand like one of `standings`, or is too old */
async function findOpen(
  { log, clock }: ApprovalsDeps,
  id: string,
  standings: readonly ProposalStanding[],
): Promise<RecordedProposal> {
  const found = (await log.list()).find(({ proposal }) => proposal.id === id)
  if (found === undefined) throw new IdentityError("not-found", "there is no such proposal", { next: SEE_LIST })
  const now = clock.now()
  const standing = standingOf(found, now)
  if (standings.includes(standing) && now < found.proposal.expiresAt) return found
  if (standing === "unknown") throw conflict("proposal-begun", "the proposal was begun, and how it ended is not known")
  throw conflict("proposal-decided", "the proposal waits no more")
}

function prepareAgain(
  { operations }: ApprovalsDeps,
  { operation, request, digest }: Proposal,
): readonly [Operation, PreparedOperation] {
  const known = operations().find(({ contract }) => contract.name === operation)
  if (known === undefined || digestRequest(operation, request) !== digest) throw stale()
  return [known, known.prepare(parseJsonObject(request))]
}

/** Both must have the right now, and be two. @see ADM-08 ADM-22 */
function requireOther(
  deps: ApprovalsDeps,
  proposal: Proposal,
  call: AdminCall,
  operation: Operation,
  prepared: PreparedOperation,
): void {
  if (isOwn(call.caller, proposal)) {
    throw new IdentityError("policy-denied", "you proposed it: somebody else has to approve it", {
      reason: "same-person",
    })
  }
  requireRole(deps, call, operation, prepared)
  const before = decideAdmin(proposal.proposer, operation.contract.verb, prepared.scope, deps.roles())
  if (before.kind === "permit") return
  throw new IdentityError("policy-denied", "whoever proposed it may not do this any more", {
    reason: "proposer-not-permitted",
  })
}

/** Both verbs, each for what the proposal is about. @see ADM-06 ADM-22 */
function requireRole(
  { roles }: ApprovalsDeps,
  { caller }: AdminCall,
  { contract }: Operation,
  { scope }: PreparedOperation,
): void {
  for (const verb of [contract.verb, "approvals"] as const) {
    const decision = decideAdmin(caller, verb, scope, roles())
    if (decision.kind === "refuse") throw roleRefusal(decision.reason, verb)
  }
}

function isShown(deps: ApprovalsDeps, caller: AdminCaller, proposal: Proposal): boolean {
  if (isOwn(caller, proposal)) return true
  return decideAdmin(caller, "approvals", scopeOf(deps, proposal), deps.roles()).kind === "permit"
}

function isOwn(caller: AdminCaller, { proposer }: Proposal): boolean {
  return callerSubject(caller) === callerSubject(proposer)
}

/** What this version cannot read any more may be about anybody. */
function scopeOf(deps: ApprovalsDeps, proposal: Proposal): AdminScope {
  try {
    const [, { scope }] = prepareAgain(deps, proposal)
    return scope
  } catch (thrown) {
    if (thrown instanceof IdentityError) return { kind: "trust-domain" }
    throw thrown
  }
}

function conflict(reason: keyof typeof NEXT_STEPS, message: string): IdentityError {
  return new IdentityError("conflict", message, { reason, next: NEXT_STEPS[reason] })
}

function stale(): IdentityError {
  return new IdentityError("conflict", "what it was proposed over is no more", {
    reason: "proposal-stale",
    next: "look at how things stand, and propose it anew",
  })
}

const SEE_LIST = "assay approval list shows what waits"
const NEXT_STEPS = {
  "digest-mismatch": "read it again (assay approval list)",
  "proposal-decided": SEE_LIST,
  "proposal-under-way": "wait for its end, and see assay approval list --all",
  "proposal-begun":
    "see whether it was done (assay rotation status, assay ban list), and propose it anew if it was not",
} as const
const MAX_OWN = 16
