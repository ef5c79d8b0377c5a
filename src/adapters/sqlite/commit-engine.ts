import { randomUUID } from "node:crypto"
import type { DatabaseSync, StatementSync } from "node:sqlite"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { encodeFailure, isWrite, type Operation, type OperationResult, WRITE_FAILED } from "./operation.ts"
import { integerOf, textOf } from "./sql-row.ts"
import { Statements } from "./statements.ts"

/** Turns a group of operations into one commit, and an error from COMMIT into an answer. @see STO-10..STO-14 */
export class CommitEngine {
  readonly #db: DatabaseSync
  readonly #statements: Statements
  readonly #writeMark: StatementSync
  readonly #readMark: StatementSync
  readonly #kept: () => void

  /** @param kept is called after each commit of what was written; throws when that was not to where it is looked for */
  constructor(db: DatabaseSync, kept: () => void = () => undefined) {
    this.#db = db
    this.#kept = kept
    this.#statements = new Statements(db)
    this.#writeMark = db.prepare("UPDATE commit_mark SET mark = ? WHERE id = 1")
    this.#readMark = db.prepare("SELECT mark FROM commit_mark WHERE id = 1")
  }

  /** One result per operation, in order; durable when it returns. Throws nothing but what `kept` does. */
  run(group: readonly Operation[]): readonly OperationResult[] {
    const mark = group.some(isWrite) ? randomUUID() : undefined
    let results: readonly OperationResult[]
    try {
      this.#db.exec("BEGIN IMMEDIATE")
    } catch (error) {
      return failAll(group, error)
    }
    try {
      this.#statements.begin()
      if (mark !== undefined) this.#writeMark.run(mark)
      results = group.map((operation) => this.#statements.run(operation))
      this.#statements.end()
    } catch (error) {
      this.#statements.undone()
      if (!this.#rollBack() || group.length === 1) return failAll(group, error)
      // One of them cannot be written. Alone, each meets only its own fate; slow, but only when the store is in trouble.
      return group.flatMap((operation) => this.run([operation]))
    }
    try {
      this.#db.exec("COMMIT")
    } catch (error) {
      this.#statements.undone()
      if (mark === undefined || !this.#landed(mark)) return failAll(group, error)
    }
    if (mark !== undefined) this.#kept()
    return results
  }

  #rollBack(): boolean {
    try {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK")
      return true
    } catch {
      return false // the caller reports the error that led here
    }
  }

  /**
   * COMMIT failed, which says nothing: is the group there, and there to stay? A sync that failed may have left it in the
   * log without being on the disk, so it counts only after a checkpoint has synced it into the database. @see INV-25
   */
  #landed(mark: string): boolean {
    try {
      if (this.#db.isTransaction) {
        this.#db.exec("ROLLBACK")
        return false
      }
      if (textOf(this.#readMark.get(), "mark") !== mark) return false
      return integerOf(this.#db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get(), "busy") === 0
    } catch {
      return false
    }
  }
}

function failAll(group: readonly Operation[], error: unknown): readonly OperationResult[] {
  const failure = encodeFailure(toStoreError(error))
  return group.map(() => ({ kind: "failed", failure }))
}

/** A broken constraint is a bug of ours; all else is the disk's or another process's doing and may pass. */
function toStoreError(error: unknown): IdentityError {
  if (!(error instanceof Error && "errcode" in error && typeof error.errcode === "number"))
    return toIdentityError(error)
  if ((error.errcode & 0xff) === SQLITE_CONSTRAINT)
    return new IdentityError("internal", "internal error", { cause: error })
  const next = "see whether the disk of storage.sqlite is full, read-only or broken"
  return new IdentityError("not-ready", "store cannot write", { cause: error, reason: WRITE_FAILED, next })
}

const SQLITE_CONSTRAINT = 19
