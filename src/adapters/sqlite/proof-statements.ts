import type { DatabaseSync, StatementSync } from "node:sqlite"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { Operation, OperationResult } from "./operation.ts"
import { encodeFailure, prunedOf } from "./operation.ts"
import { bytesOf, integerOf } from "./sql-row.ts"

export type ProofOperation = Extract<
  Operation,
  { readonly kind: "claim" | "revoke" | "read-revocations" | "prune-proofs" }
>

export interface ProofBounds {
  readonly claims: number
  readonly revocations: number
}

/** Proofs that are spent and tokens that are revoked, inside a transaction that is somebody else's matter. */
export class ProofStatements {
  readonly #bounds: ProofBounds
  readonly #insertClaim: StatementSync
  readonly #readHolder: StatementSync
  readonly #insertRevocation: StatementSync
  readonly #readRevocations: StatementSync
  readonly #pruneClaims: StatementSync
  readonly #pruneRevocations: StatementSync
  readonly #count: StatementSync
  /** At least as many as there are, but for a pruning that was rolled back, since a transaction may be; exact once one found no more. */
  #claims = 0
  #revocations = 0

  constructor(db: DatabaseSync, bounds: ProofBounds = BOUNDS) {
    this.#bounds = bounds
    this.#insertClaim = db.prepare(INSERT_CLAIM)
    this.#readHolder = db.prepare("SELECT holder FROM spent_proof WHERE use = ? AND id = ?")
    this.#insertRevocation = db.prepare(INSERT_REVOCATION)
    this.#readRevocations = db.prepare(READ_REVOCATIONS)
    this.#pruneClaims = db.prepare(PRUNE_CLAIMS)
    this.#pruneRevocations = db.prepare(PRUNE_REVOCATIONS)
    this.#count = db.prepare(COUNT)
    this.#recount()
  }

  run(operation: ProofOperation): OperationResult {
    switch (operation.kind) {
      case "claim":
        return this.#claim(operation)
      case "revoke":
        if (this.#revocations >= this.#bounds.revocations) return REVOCATIONS_FULL
        this.#insertRevocation.run(...operation.row)
        this.#revocations++
        return { kind: "done" }
      case "read-revocations":
        return { kind: "rows", rows: this.#readRevocations.all(operation.after, operation.limit) }
      case "prune-proofs":
        return this.#prune(operation.before, operation.batch)
      default:
        return operation satisfies never
    }
  }

  /** A claim that is said again after an unknown outcome finds its own row. @see INV-25 */
  #claim({ use, id, holder, until }: ProofOperation & { readonly kind: "claim" }): OperationResult {
    if (this.#claims >= this.#bounds.claims) return REPLAY_LOG_FULL
    if (this.#insertClaim.run(use, id, holder, until).changes === 1) {
      this.#claims++
      return { kind: "claim", won: true }
    }
    const winner = bytesOf(this.#readHolder.get(use, id), "holder")
    return { kind: "claim", won: Buffer.compare(winner, holder) === 0 }
  }

  #prune(before: Instant, batch: number): OperationResult {
    const claims = Number(this.#pruneClaims.run(before, batch).changes)
    const revocations = Number(this.#pruneRevocations.run(before, batch).changes)
    this.#claims -= claims
    this.#revocations -= revocations
    const pruned = prunedOf(Math.max(claims, revocations), batch)
    if (pruned.kind === "pruned" && !pruned.more) this.#recount() // 20 ms for a million
    return pruned
  }

  #recount(): void {
    const counted = this.#count.get()
    this.#claims = integerOf(counted, "claims")
    this.#revocations = integerOf(counted, "revocations")
  }
}

function full(message: string, reason: string): OperationResult {
  return { kind: "failed", failure: encodeFailure(new IdentityError("rate-limited", message, { reason })) }
}

const REPLAY_LOG_FULL = full("too many proofs are remembered", "replay-log-full")
const REVOCATIONS_FULL = full("too many revocations are in force", "revocations-full")

const INSERT_CLAIM = `INSERT INTO spent_proof (use, id, holder, until) VALUES (?, ?, ?, ?)
ON CONFLICT (use, id) DO NOTHING`
/** REPLACE gives a new number, by which those who follow see the change. */
const INSERT_REVOCATION = `INSERT OR REPLACE INTO revocation (kind, name, issued_until, until)
SELECT ?1, ?2, max(?3, coalesce(max(issued_until), 0)), max(?4, coalesce(max(until), 0))
FROM revocation WHERE kind = ?1 AND name = ?2`
const READ_REVOCATIONS = `SELECT sequence, kind, name, issued_until, until FROM revocation
WHERE sequence > ? ORDER BY sequence LIMIT ?`
const PRUNE_CLAIMS = `DELETE FROM spent_proof WHERE (use, id) IN
(SELECT use, id FROM spent_proof WHERE until < ?1 ORDER BY until LIMIT ?2)`
const PRUNE_REVOCATIONS = `DELETE FROM revocation WHERE sequence IN
(SELECT sequence FROM revocation WHERE until < ?1 ORDER BY until LIMIT ?2)`
const COUNT = "SELECT (SELECT count(*) FROM spent_proof) AS claims, (SELECT count(*) FROM revocation) AS revocations"
/** Claims: ten thousand proofs a second for the length of a proof's window. Revocations also stand in memory. */
const BOUNDS: ProofBounds = { claims: 1_000_000, revocations: 250_000 }
