import type { AuditEvent } from "../../core/audit/event.ts"
import type { AuditRow } from "./operation.ts"

/** What every event has goes to columns, the rest is JSON. */
export function encodeAudit(event: AuditEvent): AuditRow {
  const { at, type, actor, requestId, ...data } = event
  return [at, type, actor, requestId, JSON.stringify(data)]
}
