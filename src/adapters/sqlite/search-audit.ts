import type { DatabaseSync } from "node:sqlite"
import type { AuditFound, AuditQuery } from "../../ports/audit-log.ts"
import { AUDIT_COLUMNS, parseAudit } from "./audit-row.ts"
import { demandLimit } from "./search-issuances.ts"
import { integerOf, optionalBytesOf, type SqlRow } from "./sql-row.ts"

/**
 * No index but the sequence: one for each name would cost every issuance two pages of log. The text is made of constants.
 * Blocks its thread for a second when a million records are looked at. @throws IdentityError `malformed` for a bad limit
 */
export function searchAudit(db: DatabaseSync, query: AuditQuery): AuditFound {
  demandLimit(query.limit, MAX_RECORDS)
  const newest = integerOf(db.prepare("SELECT coalesce(max(seq), 0) AS seq FROM audit_event").get(), "seq")
  const before = Math.min(query.before ?? newest + 1, newest + 1)
  const lookedFrom = Math.max(1, before - MAX_LOOKED_AT)
  const given = CONDITIONS.flatMap(([field, condition]) => {
    const value = query[field]
    return value === undefined ? [] : [{ condition, value }]
  })
  const where = ["seq >= ?", "seq < ?", ...given.map(({ condition }) => condition)].join(" AND ")
  const values = [lookedFrom, before, ...given.map(({ value }) => value), query.limit]
  const rows = db.prepare(`SELECT ${COLUMNS} FROM audit_event WHERE ${where} ORDER BY seq DESC LIMIT ?`).all(...values)
  const records = rows.map((row) => ({ record: parseAudit(row), previous: previousOf(row) }))
  const last = records.at(-1)?.record.sequence
  return { records, lookedFrom: records.length === query.limit && last !== undefined ? last : lookedFrom }
}

function previousOf(row: SqlRow): string | undefined {
  const hash = optionalBytesOf(row, "previous")
  return hash === undefined ? undefined : Buffer.from(hash).toString("hex")
}

const COLUMNS = `${AUDIT_COLUMNS}, (SELECT hash FROM audit_event AS b WHERE b.seq = audit_event.seq - 1) AS previous`
const CONDITIONS = [
  ["type", "type = ?"],
  ["actor", "actor = ?"],
  ["requestId", "request_id = ?"],
  ["since", "at >= ?"],
  ["until", "at <= ?"],
  ["spiffeId", "? IN (json_extract(data, '$.spiffeId'), json_extract(data, '$.subject'))"],
  [
    "serial",
    "? IN (json_extract(data, '$.serial'), json_extract(data, '$.tokenId'), json_extract(data, '$.renews'), json_extract(data, '$.current'))",
  ],
] as const
const MAX_LOOKED_AT = 1_000_000
export const MAX_RECORDS = 1000
