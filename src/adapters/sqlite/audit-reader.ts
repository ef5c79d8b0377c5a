import type { DatabaseSync } from "node:sqlite"
import type { AuditRecord } from "../../core/audit/record.ts"
import type { AuditFound, AuditQuery } from "../../ports/audit-log.ts"
import { AUDIT_COLUMNS, parseAudit } from "./audit-row.ts"
import { asNotReady, openDatabaseReader } from "./open-database.ts"
import { searchAudit } from "./search-audit.ts"
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

/** @throws IdentityError `not-found` when there is no store at `path`; `not-ready` */
export function openAuditReader(path: string): AuditReader {
  const db = openDatabaseReader(path)
  try {
    const page = db.prepare(`SELECT ${AUDIT_COLUMNS} FROM audit_event WHERE seq > ? ORDER BY seq LIMIT ?`)
    const newest = db.prepare("SELECT coalesce(max(seq), 0) AS seq FROM audit_event")
    return {
      read: (sequence, limit) => translated(() => page.all(sequence, limit).map(parseAudit)),
      search: (query) => translated(() => searchAudit(db, query)),
      newest: () => translated(() => integerOf(newest.get(), "seq")),
      [Symbol.dispose]: () => db.close(),
    }
  } catch (error) {
    throw closed(db, error)
  }
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
