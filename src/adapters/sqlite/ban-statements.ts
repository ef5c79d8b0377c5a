import type { DatabaseSync, StatementSync } from "node:sqlite"
import { type ErrorCode, IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import { type BanRow, encodeFailure, type Operation, type OperationResult, prunedOf } from "./operation.ts"
import { integerOf, optionalIntegerOf, type SqlRow } from "./sql-row.ts"

export type BanOperation = Extract<Operation, { readonly kind: "add-ban" | "lift-ban" | "read-bans" | "prune-bans" }>

/** Who is banned, inside a transaction that is somebody else's matter. */
export class BanStatements {
  readonly #bound: number
  readonly #find: StatementSync
  readonly #write: StatementSync
  readonly #read: StatementSync
  readonly #readHead: StatementSync
  readonly #prune: StatementSync
  readonly #count: StatementSync
  #head: number | undefined

  constructor(db: DatabaseSync, bound = MAX_BANS) {
    this.#bound = bound
    this.#find = db.prepare(FIND)
    this.#write = db.prepare(WRITE)
    this.#read = db.prepare(READ)
    this.#readHead = db.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'ban'")
    this.#prune = db.prepare(PRUNE)
    this.#count = db.prepare("SELECT count(*) AS bans FROM ban")
  }

  begin(): void {
    this.#head = undefined
  }

  /** Of the newest change; never goes back, not even when its row is pruned. Read once in a transaction. */
  get head(): number {
    const row = this.#head === undefined ? this.#readHead.get() : undefined
    this.#head ??= row === undefined ? 0 : integerOf(row, "seq")
    return this.#head
  }

  run(operation: BanOperation): OperationResult {
    switch (operation.kind) {
      case "add-ban":
        return this.#add(operation.ban)
      case "lift-ban":
        return this.#lift(operation)
      case "read-bans":
        return { kind: "bans", rows: this.#read.all(operation.after, operation.limit), head: this.head }
      case "prune-bans":
        return prunedOf(Number(this.#prune.run(operation.before, operation.batch).changes), operation.batch)
      default:
        return operation satisfies never
    }
  }

  #add(ban: BanRow): OperationResult {
    const known = this.#find.get(ban.kind, ban.name)
    if (known === undefined && integerOf(this.#count.get(), "bans") >= this.#bound) return BANS_FULL
    const before = known !== undefined && isInForce(known, ban.createdAt) ? known : undefined
    const createdAt = before === undefined ? ban.createdAt : integerOf(before, "created_at")
    const earlier = before === undefined ? ban.until : (optionalIntegerOf(before, "until") ?? null)
    const until = ban.until === null || earlier === null ? null : Math.max(ban.until, earlier)
    this.#write.run(ban.kind, ban.name, ban.reason, ban.actor, createdAt, until, null)
    this.#head = undefined
    return DONE
  }

  #lift({ target: [kind, name], at }: BanOperation & { readonly kind: "lift-ban" }): OperationResult {
    const known = this.#find.get(kind, name)
    if (known === undefined || !isInForce(known, at)) return NOT_BANNED
    const { reason, actor, created_at: createdAt, until } = known
    this.#write.run(kind, name, reason ?? "", actor ?? "", createdAt ?? at, until ?? null, at)
    this.#head = undefined
    return DONE
  }
}

function isInForce(row: SqlRow, at: Instant): boolean {
  const until = optionalIntegerOf(row, "until")
  return optionalIntegerOf(row, "lifted_at") === undefined && (until === undefined || at < until)
}

function refusal(code: ErrorCode, message: string, reason: string): OperationResult {
  return { kind: "failed", failure: encodeFailure(new IdentityError(code, message, { reason })) }
}

const DONE: OperationResult = { kind: "done" }
const BANS_FULL = refusal(
  "rate-limited",
  "too many bans are remembered; ban a prefix, namespace or cluster",
  "bans-full",
)
const NOT_BANNED = refusal("not-found", "no such ban is in force", "ban-not-found")

const COLUMNS = "kind, name, reason, actor, created_at, until, lifted_at"
const FIND = `SELECT sequence, ${COLUMNS} FROM ban WHERE kind = ? AND name = ?`
/** REPLACE gives a new number, by which those who follow see the change. */
const WRITE = `INSERT OR REPLACE INTO ban (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)`
const READ = `SELECT sequence, ${COLUMNS} FROM ban WHERE sequence > ? ORDER BY sequence LIMIT ?`
const PRUNE = `DELETE FROM ban WHERE sequence IN (SELECT sequence FROM ban
WHERE coalesce(min(lifted_at, until), lifted_at, until) < ?1 LIMIT ?2)`
/** In force, or kept because tokens from before their end may live. All of them stand in memory, too. */
const MAX_BANS = 10_000
