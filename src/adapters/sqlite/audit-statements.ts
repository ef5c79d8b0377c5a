import type { DatabaseSync, StatementSync } from "node:sqlite"
import {
  type ChainHead,
  type ChainOrigin,
  hashRecord,
  NO_RECORD,
  parseSeal,
  startedEvent,
} from "../../core/audit/chain.ts"
import { type AuditEntry, entryOf } from "../../core/audit/record.ts"
import { parseJsonObject } from "../../core/json.ts"
import type { Instant } from "../../core/time.ts"
import type { ChainState } from "../../ports/audit-log.ts"
import { AUDIT_COLUMNS, parseAudit } from "./audit-row.ts"
import { bytesOf, integerOf, type SqlRow, textOf } from "./sql-row.ts"

/** The audit log and its chain, inside a transaction that is somebody else's matter. */
export class AuditStatements {
  readonly #db: DatabaseSync
  readonly #insert: StatementSync
  readonly #newest: StatementSync
  readonly #newestSeal: StatementSync
  readonly #newestStart: StatementSync
  readonly #hashAt: StatementSync
  /** As of this transaction; `undefined` until it is asked for. `hash` is `undefined` while there is no chain. */
  #head: { readonly sequence: number; readonly hash: string | undefined } | undefined

  constructor(db: DatabaseSync) {
    this.#db = db
    this.#insert = db.prepare(INSERT)
    this.#newest = db.prepare("SELECT seq, hash FROM audit_event ORDER BY seq DESC LIMIT 1")
    this.#newestSeal = db.prepare(NEWEST_SEAL)
    this.#newestStart = db.prepare(NEWEST_START)
    this.#hashAt = db.prepare("SELECT hash FROM audit_event WHERE seq = ?")
  }

  /** To be called in each transaction before all else: the one before may have been rolled back, or be another process's. */
  begin(): void {
    this.#head = undefined
  }

  /** A few microseconds more than a row without a chain: one hash of half a kilobyte. @see AUD-10 */
  append(entry: AuditEntry): void {
    const { sequence, hash } = this.#headNow()
    // Until the chain is started, records stand outside of it.
    this.#write(entry, sequence + 1, hash === undefined ? undefined : hashRecord({ sequence, hash }, entry))
  }

  /** @see AUD-11 */
  start(origin: ChainOrigin, at: Instant): void {
    const { sequence, hash } = this.#headNow()
    if (hash !== undefined && this.#incarnation() === origin.incarnation) return
    const before = hash === undefined ? this.#hashOutside() : { sequence, hash }
    const entry = entryOf(startedEvent(origin, before, at))
    this.#write(entry, before.sequence + 1, hashRecord(before, entry))
  }

  state(): ChainState {
    const { sequence, hash } = this.#headNow()
    const head = hash === undefined ? NO_RECORD : { sequence, hash }
    const start = this.#newestStart.get()
    const started = start === undefined ? 0 : integerOf(start, "seq")
    const row = this.#newestSeal.get()
    const seal = row === undefined ? undefined : parseSeal(textOf(row, "data"))
    if (seal === undefined) return { head, started, sealed: undefined }
    return { head, started, sealed: { seal, found: hashOf(this.#hashAt.get(seal.sequence)) } }
  }

  #headNow(): { readonly sequence: number; readonly hash: string | undefined } {
    if (this.#head === undefined) {
      const row = this.#newest.get()
      this.#head = { sequence: row === undefined ? 0 : integerOf(row, "seq"), hash: hashOf(row) }
    }
    return this.#head
  }

  #write(entry: AuditEntry, sequence: number, hash: string | undefined): void {
    const { at, type, actor, requestId, data } = entry
    const stored = hash === undefined ? null : Buffer.from(hash, "hex")
    this.#insert.run(sequence, at, type, actor, requestId, data, stored)
    this.#head = { sequence, hash }
  }

  /** Of the chain that there is. */
  #incarnation(): unknown {
    const row = this.#newestStart.get()
    return row === undefined ? undefined : parseJsonObject(textOf(row, "data"))["incarnation"]
  }

  /** What records before the chain come to, once in the life of a store: 2 s for a million of them. */
  #hashOutside(): ChainHead {
    let head = NO_RECORD
    for (const row of this.#db.prepare(`SELECT ${AUDIT_COLUMNS} FROM audit_event ORDER BY seq`).iterate()) {
      const record = parseAudit(row)
      head = { sequence: record.sequence, hash: hashRecord({ ...head, sequence: record.sequence - 1 }, record) }
    }
    return head
  }
}

function hashOf(row: SqlRow | undefined): string | undefined {
  if (row === undefined || row["hash"] === null) return undefined
  return Buffer.from(bytesOf(row, "hash")).toString("hex")
}

const INSERT = "INSERT INTO audit_event (seq, at, type, actor, request_id, data, hash) VALUES (?, ?, ?, ?, ?, ?, ?)"
// The types are literals, as in the partial indexes that find these rows.
const NEWEST_SEAL = "SELECT data FROM audit_event WHERE type = 'audit.sealed' ORDER BY seq DESC LIMIT 1"
const NEWEST_START = "SELECT seq, data FROM audit_event WHERE type = 'audit.started' ORDER BY seq DESC LIMIT 1"
