import type { AuditEvent } from "../../core/audit/event.ts"
import { type AuditEntry, type AuditRecord, entryOf } from "../../core/audit/record.ts"
import { bytesOf, integerOf, type SqlRow, textOf } from "./sql-row.ts"

/** What every event has goes to columns, the rest is JSON. */
export function encodeAudit(event: AuditEvent): AuditEntry {
  return entryOf(event)
}

export const AUDIT_COLUMNS = "seq, at, type, actor, request_id, data, hash"

/** A row of {@link AUDIT_COLUMNS}. */
export function parseAudit(row: SqlRow): AuditRecord {
  return {
    sequence: integerOf(row, "seq"),
    at: integerOf(row, "at"),
    type: textOf(row, "type"),
    actor: textOf(row, "actor"),
    requestId: textOf(row, "request_id"),
    data: textOf(row, "data"),
    hash: row["hash"] === null ? undefined : Buffer.from(bytesOf(row, "hash")).toString("hex"),
  }
}
