import type { DatabaseSync, StatementSync } from "node:sqlite"
import { type ErrorCode, IdentityError } from "../../core/errors.ts"
import { encodeFailure, type Operation, type OperationResult } from "./operation.ts"
import { integerOf } from "./sql-row.ts"

export type ProposalOperation = Extract<
  Operation,
  { readonly kind: "add-proposal" | "decide-proposal" | "resume-proposal" | "settle-proposal" | "read-proposals" }
>

/** What waits for a second person, inside a transaction that is somebody else's matter. */
export class ProposalStatements {
  readonly #insert: StatementSync
  readonly #count: StatementSync
  readonly #forget: StatementSync
  readonly #decide: StatementSync
  readonly #standing: StatementSync
  readonly #settle: StatementSync
  readonly #read: StatementSync

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare(INSERT)
    this.#count = db.prepare("SELECT count(*) AS waiting FROM proposal WHERE outcome IS NULL AND expires_at > ?")
    this.#forget = db.prepare(FORGET)
    this.#decide = db.prepare(DECIDE)
    this.#standing = db.prepare(STANDING)
    this.#settle = db.prepare(SETTLE)
    this.#read = db.prepare(READ)
  }

  run(operation: ProposalOperation): OperationResult {
    switch (operation.kind) {
      case "add-proposal": {
        if (integerOf(this.#count.get(operation.now), "waiting") >= MAX_PENDING) return FULL
        this.#forget.run(operation.now, MAX_SETTLED)
        return this.#insert.run(...operation.row).changes === 1 ? DONE : KNOWN
      }
      case "decide-proposal": {
        const { outcome, by, at, requestId, id } = operation
        return this.#decide.run(outcome, by, at, requestId, id, at).changes === 1 ? DONE : DECIDED
      }
      case "resume-proposal": {
        const row = this.#standing.get(operation.id, operation.at)
        if (row === undefined) return DECIDED
        return integerOf(row, "begun") === 0 ? DONE : BEGUN
      }
      case "settle-proposal": {
        const { outcome, at, reason, id } = operation
        return this.#settle.run(outcome, at, reason, id).changes === 1 ? DONE : DECIDED
      }
      case "read-proposals":
        return { kind: "rows", rows: this.#read.all() }
      default:
        return operation satisfies never
    }
  }
}

function refusal(code: ErrorCode, message: string, reason?: string): OperationResult {
  const options = reason === undefined ? {} : { reason }
  return { kind: "failed", failure: encodeFailure(new IdentityError(code, message, options)) }
}

const DONE: OperationResult = { kind: "done" }
const FULL = refusal("rate-limited", "too many requests wait for approval", "proposals-full")
const KNOWN = refusal("already-exists", "there is such a proposal already")
const DECIDED = refusal("conflict", "no such proposal waits", "proposal-decided")
const BEGUN = refusal("conflict", "the proposal was begun before", "proposal-begun")

const COLUMNS = "id, operation, request, digest, target, proposer, role, over, created_at, expires_at"
const INSERT = `INSERT INTO proposal (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
const DECIDE = `UPDATE proposal SET outcome = ?, decided_by = ?, decided_at = ?, request_id = ?
WHERE id = ? AND outcome IS NULL AND expires_at > ?`
const UNSETTLED = "outcome = 'approved' AND execution IS NULL"
// The types are those of TRACE_TYPES, as the partial index has them. With IN, that would double the cost of each audit record.
const BEGUN_BEFORE = `EXISTS (SELECT 1 FROM audit_event
WHERE audit_event.request_id = proposal.request_id
AND (type = 'rotation.changed' OR type = 'ban.added' OR type = 'ban.lifted'))`
const STANDING = `SELECT ${BEGUN_BEFORE} AS begun FROM proposal WHERE id = ? AND ${UNSETTLED} AND expires_at > ?`
const SETTLE = `UPDATE proposal SET execution = ?, executed_at = ?, failure = ? WHERE id = ? AND ${UNSETTLED}`
const READ = `SELECT ${COLUMNS}, outcome, decided_by, decided_at, request_id, execution, executed_at, failure,
(${UNSETTLED} AND ${BEGUN_BEFORE}) IS 1 AS begun FROM proposal ORDER BY seq DESC`
const FORGET = `DELETE FROM proposal WHERE seq IN (SELECT seq FROM proposal
WHERE outcome IS NOT NULL OR expires_at <= ? ORDER BY seq DESC LIMIT -1 OFFSET ?)`
const MAX_PENDING = 64
const MAX_SETTLED = 1000
