import type { DatabaseSync } from "node:sqlite"
import type { AuditRecord } from "../../core/audit/record.ts"
import type { Instant } from "../../core/time.ts"
import { AUDIT_COLUMNS, parseAudit } from "./audit-row.ts"
import { asNotReady, openDatabaseReader } from "./open-database.ts"
import { demandLimit } from "./search-issuances.ts"
import { integerOf } from "./sql-row.ts"

/** Reads the audit log of a store that another connection, perhaps of another process, writes. Blocks its thread. */
export interface AuditReader extends Disposable {
  /** Up to `limit` records after `sequence`, oldest first. @throws IdentityError `not-ready` */
  read(sequence: number, limit: number): readonly AuditRecord[]
  /** Newest first. @throws IdentityError `malformed` for a bad limit; `not-ready` */
  search(query: AuditQuery): AuditFound
  /** Sequence of the newest record; 0 without one. @throws IdentityError `not-ready` */
  newest(): number
}

/** Each field that is set must match; text compares for equality. */
export interface AuditQuery {
  readonly type?: string
  readonly actor?: string
  readonly requestId?: string
  readonly spiffeId?: string
  /** Of a certificate, or the `jti` of a token. */
  readonly serial?: string
  readonly since?: Instant
  readonly until?: Instant
  /** Only records before this one. */
  readonly before?: number
  /** 1 to 1000. */
  readonly limit: number
}

export interface AuditFound {
  readonly records: readonly AuditRecord[]
  /** Records from this one on were looked at; what is before was not. A million at most are. */
  readonly lookedFrom: number
}

/** @throws IdentityError `not-found` when there is no store at `path`; `not-ready` */
export function openAuditReader(path: string): AuditReader {
  const db = openDatabaseReader(path)
  try {
    const page = db.prepare(`SELECT ${AUDIT_COLUMNS} FROM audit_event WHERE seq > ? ORDER BY seq LIMIT ?`)
    const newest = db.prepare("SELECT coalesce(max(seq), 0) AS seq FROM audit_event")
    return {
      read: (sequence, limit) => translated(() => page.all(sequence, limit).map(parseAudit)),
      search: (query) => translated(() => searchAudit(db, query, integerOf(newest.get(), "seq"))),
      newest: () => translated(() => integerOf(newest.get(), "seq")),
      [Symbol.dispose]: () => db.close(),
    }
  } catch (error) {
    throw closed(db, error)
  }
}

/** No index but the sequence: one for each name would cost every issuance two pages of log. The text is made of constants. */
function searchAudit(db: DatabaseSync, query: AuditQuery, newest: number): AuditFound {
  demandLimit(query.limit)
  const before = Math.min(query.before ?? newest + 1, newest + 1)
  const lookedFrom = Math.max(1, before - MAX_LOOKED_AT)
  const given = CONDITIONS.flatMap(([field, condition]) => {
    const value = query[field]
    return value === undefined ? [] : [{ condition, value }]
  })
  const where = ["seq >= ?", "seq < ?", ...given.map(({ condition }) => condition)].join(" AND ")
  const values = [lookedFrom, before, ...given.map(({ value }) => value), query.limit]
  const rows = db.prepare(`SELECT ${AUDIT_COLUMNS} FROM audit_event WHERE ${where} ORDER BY seq DESC LIMIT ?`)
  const records = rows.all(...values).map(parseAudit)
  return { records, lookedFrom: records.length === query.limit ? (records.at(-1)?.sequence ?? lookedFrom) : lookedFrom }
}

function translated<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw asNotReady(error)
  }
}

function closed(db: DatabaseSync, error: unknown): Error {
  db.close()
  return asNotReady(error)
}

const CONDITIONS = [
  ["type", "type = ?"],
  ["actor", "actor = ?"],
  ["requestId", "request_id = ?"],
  ["since", "at >= ?"],
  ["until", "at <= ?"],
  ["spiffeId", "? IN (json_extract(data, '$.spiffeId'), json_extract(data, '$.subject'))"],
  ["serial", "? IN (json_extract(data, '$.serial'), json_extract(data, '$.tokenId'))"],
] as const
const MAX_LOOKED_AT = 1_000_000
