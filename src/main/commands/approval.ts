import type { Command } from "commander"
import { IdentityError } from "../../core/errors.ts"
import { approvalApprove, approvalList, approvalReject } from "../../transports/admin/approval-contracts.ts"
import type { ResponseOf } from "../../transports/admin/contract.ts"
import {
  type AdminOptions,
  askAdmin,
  type DestructiveOptions,
  isDryRun,
  printAdmin,
  withAdmin,
  withDryRun,
} from "./admin-command.ts"
import { columns } from "./columns.ts"
import { lifeLeft } from "./life-left.ts"

type Listed = ResponseOf<typeof approvalList>["proposals"][number]

/** `assay approval`: what waits for a second person. @see ADM-25 */
export function registerApproval(program: Command): void {
  const approval = program.command("approval").description("what one operator wants done and another has to approve")
  withAdmin(approval.command("list"))
    .description("what waits, with the request to the letter")
    .option("--all", "what was decided or has expired as well")
    .action(list)
  withDryRun(approval.command("approve").argument("<id>", "as assay approval list shows it"))
    .description("have it done; without --yes, say what would be")
    .addHelpText("after", "\nExample:\n  assay approval approve 3f2a9c0d11e87b64 --yes")
    .action(approve)
  withAdmin(approval.command("reject").argument("<id>", "as assay approval list shows it"))
    .description("have it never done")
    .action(reject)
}

async function list(options: AdminOptions & { readonly all?: true }): Promise<void> {
  const reply = await askAdmin(approvalList, {}, options)
  const proposals = reply.proposals.filter((one) => options.all === true || isOpen(one, reply.now))
  printAdmin({ ...reply, proposals }, options, () => listTable(proposals, reply.now))
}

async function approve(id: string, options: DestructiveOptions): Promise<void> {
  // The server compares it with what it has, so that what is approved is what was shown here.
  const { proposals } = await askAdmin(approvalList, {}, options)
  const proposal = proposals.find((one) => one.id === id)
  if (proposal === undefined) {
    throw new IdentityError("not-found", "there is no such proposal", { next: "assay approval list shows what waits" })
  }
  const reply = await askAdmin(approvalApprove, { id, digest: proposal.digest }, options)
  printAdmin(reply, options, () => {
    const head = isDryRun(options) ? "would be done with --yes:" : "done:"
    return [head, ...requestLines(reply.proposal), ...(reply.result === "" ? [] : [`reply      ${reply.result}`])].join(
      "\n",
    )
  })
}

async function reject(id: string, options: AdminOptions): Promise<void> {
  const reply = await askAdmin(approvalReject, { id }, options)
  printAdmin(reply, options, () => `rejected: ${reply.proposal.operation} of ${reply.proposal.proposer}`)
}

/** Somebody has something to do about it. */
function isOpen({ outcome, expires_at: until }: Listed, now: number): boolean {
  return outcome === "waiting" || ((outcome === "approved" || outcome === "unknown") && now < until)
}

function listTable(proposals: readonly Listed[], now: number): string {
  if (proposals.length === 0) return "nothing waits"
  const rows = proposals.map((one) => {
    const decided = one.decided_by === undefined ? "" : `by ${one.decided_by}`
    return [
      one.id,
      STATES[one.outcome] ?? one.outcome,
      one.operation,
      one.proposer,
      lifeLeft(one.expires_at, now),
      decided,
    ]
  })
  const table = columns([["ID", "STATE", "OPERATION", "PROPOSED BY", "EXPIRES", ""], ...rows])
  return [...table, ...proposals.flatMap((one) => ["", one.id, ...requestLines(one)])].join("\n")
}

function requestLines({ operation, request, digest, proposer, reason, next }: Listed): readonly string[] {
  return [
    `operation  ${operation}`,
    `request    ${request}`,
    `digest     ${digest}`,
    `proposed   ${proposer}`,
    ...(reason === undefined ? [] : [`failed     ${reason}`]),
    ...(next === undefined ? [] : [`next       ${next}`]),
  ]
}

const STATES: { readonly [Outcome in Listed["outcome"]]?: string } = {
  approved: "approved, not done",
  unknown: "begun, end unknown",
}
