import type { AdminCaller } from "../../core/admin/caller.ts"
import {
  EXECUTION_OUTCOMES,
  PROPOSAL_OUTCOMES,
  type Proposal,
  type ProposalDecision,
  type ProposalExecution,
  type RecordedProposal,
} from "../../core/admin/proposal.ts"
import type { AuditEvent } from "../../core/audit/event.ts"
import { type JsonObject, parseJsonObject } from "../../core/json.ts"
import { parseSpiffeId } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import type { ProposalLog } from "../../ports/proposals.ts"
import { encodeAudit } from "./audit-row.ts"
import type { CommitQueue } from "./commit-queue.ts"
import { integerOf, type SqlRow, textOf } from "./sql-row.ts"

export class SqliteProposalLog implements ProposalLog {
  readonly #queue: CommitQueue

  constructor(queue: CommitQueue) {
    this.#queue = queue
  }

  async add(proposal: Proposal, audit: AuditEvent): Promise<void> {
    const { id, operation, request, digest, target, proposer, role, over, createdAt, expiresAt } = proposal
    const said = [id, operation, request, digest, target, JSON.stringify(proposer), role, over]
    const row = [...said, createdAt, expiresAt]
    await this.#queue.submit({ kind: "add-proposal", row, now: createdAt, audit: encodeAudit(audit) })
  }

  async decide(id: string, decision: ProposalDecision, audit: AuditEvent): Promise<void> {
    await this.#queue.submit({ kind: "decide-proposal", id, ...decision, audit: encodeAudit(audit) })
  }

  async resume(id: string, at: Instant, audit: AuditEvent): Promise<void> {
    await this.#queue.submit({ kind: "resume-proposal", id, at, audit: encodeAudit(audit) })
  }

  async settle(id: string, execution: ProposalExecution, audit: AuditEvent): Promise<void> {
    await this.#queue.submit({ kind: "settle-proposal", id, ...execution, audit: encodeAudit(audit) })
  }

  async list(): Promise<readonly RecordedProposal[]> {
    const result = await this.#queue.submit({ kind: "read-proposals" })
    if (result.kind !== "rows") throw new TypeError("store: proposals were not read")
    return result.rows.map((row) => ({
      proposal: parseProposal(row),
      decision: parseDecision(row),
      execution: parseExecution(row),
      begun: integerOf(row, "begun") === 1,
    }))
  }
}

function parseProposal(row: SqlRow): Proposal {
  return {
    id: textOf(row, "id"),
    operation: textOf(row, "operation"),
    request: textOf(row, "request"),
    digest: textOf(row, "digest"),
    target: textOf(row, "target"),
    proposer: parseCaller(parseJsonObject(textOf(row, "proposer"))),
    role: textOf(row, "role"),
    over: textOf(row, "over"),
    createdAt: integerOf(row, "created_at"),
    expiresAt: integerOf(row, "expires_at"),
  }
}

function parseDecision(row: SqlRow): ProposalDecision | undefined {
  if (row["outcome"] === null) return undefined
  const outcome = PROPOSAL_OUTCOMES.find((one) => one === textOf(row, "outcome"))
  if (outcome === undefined) throw new TypeError("store: proposal of unknown outcome")
  // Servers before this column wrote none.
  const requestId = row["request_id"] === null ? "" : textOf(row, "request_id")
  return { outcome, by: textOf(row, "decided_by"), at: integerOf(row, "decided_at"), requestId }
}

function parseExecution(row: SqlRow): ProposalExecution | undefined {
  if (row["execution"] === null) return undefined
  const outcome = EXECUTION_OUTCOMES.find((one) => one === textOf(row, "execution"))
  if (outcome === undefined) throw new TypeError("store: proposal of unknown execution")
  return { outcome, at: integerOf(row, "executed_at"), reason: textOf(row, "failure") }
}

function parseCaller({ kind, uid, gid, pid, id, proof }: JsonObject): AdminCaller {
  if (kind === "peer" && typeof uid === "number" && typeof gid === "number" && typeof pid === "number") {
    return { kind, uid, gid, pid }
  }
  const known = PROOFS.find((one) => one === proof)
  if (kind === "spiffe" && typeof id === "string" && known !== undefined) {
    return { kind, id: parseSpiffeId(id), proof: known }
  }
  throw new TypeError("store: proposal of an unknown caller")
}

const PROOFS = ["x509-svid", "access-token", "external-token"] as const
