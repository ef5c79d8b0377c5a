import type { AuditEvent } from "../core/audit/event.ts"

/** Decisions that have no intent to ride with. Durable when it resolves; the reply waits for it. @see INV-11 */
export interface AuditLog {
  append(event: AuditEvent): Promise<void>
}
