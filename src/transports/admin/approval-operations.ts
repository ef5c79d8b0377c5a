import type { RecordedProposal } from "../../core/admin/proposal.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Clock } from "../../ports/clock.ts"
import { approvalApprove, approvalList, approvalReject, recordedReply } from "./approval-contracts.ts"
import type { Approvals } from "./approvals.ts"
import { type AdminCall, bindOperation, type Operation } from "./operation.ts"

/** @see ADM-21..ADM-25 */
export function approvalOperations(approvals: Approvals, clock: Clock): readonly Operation[] {
  // What each is about is checked against the proposal.
  const scope = () => ({ kind: "none" }) as const
  const target = ({ id }: { readonly id: string }) => id
  const reply = async (id: string, { caller }: AdminCall) => {
    return recordedReply(find(await approvals.list(caller), id), clock.now())
  }
  return [
    bindOperation(approvalList, {
      scope,
      handle: async (_, { caller }) => {
        const now = clock.now()
        return { now, proposals: (await approvals.list(caller)).map((one) => recordedReply(one, now)) }
      },
    }),
    bindOperation(approvalApprove, {
      scope,
      target,
      handle: async ({ id, digest }, call, signal) => {
        const done = await approvals.approve(id, digest, call, signal)
        return { proposal: await reply(id, call), result: done === undefined ? "" : JSON.stringify(done) }
      },
    }),
    bindOperation(approvalReject, {
      scope,
      target,
      handle: async ({ id }, call) => {
        await approvals.reject(id, call)
        return { proposal: await reply(id, call) }
      },
    }),
  ]
}

function find(all: readonly RecordedProposal[], id: string): RecordedProposal {
  const found = all.find(({ proposal }) => proposal.id === id)
  if (found === undefined) throw new IdentityError("not-found", "there is no such proposal")
  return found
}
