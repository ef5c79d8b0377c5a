import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import type { AuditEvent } from "../../src/core/audit/event.ts"
import type { AuditLog } from "../../src/ports/audit-log.ts"
import { FIXTURE_NOW, fixtureGrant } from "../support/issuance-fixtures.ts"
import { makeScratch } from "../support/scratch.ts"

const REFUSED: AuditEvent = {
  type: "svid.refused",
  at: FIXTURE_NOW,
  actor: "unknown",
  requestId: "r-2",
  kind: "jwt",
  code: "unauthenticated",
  reason: "token-expired",
}
const EVENTS = [fixtureGrant("a1"), REFUSED]

interface AuditUnderTest extends AsyncDisposable {
  readonly log: AuditLog
  /** What a reader beside the log finds as soon as `append` has resolved. */
  readonly written: () => readonly unknown[]
}

for (const open of [openMemory, openSqlite]) {
  test(`audit log: ${open.name} keeps whole events in order, visible to others when append resolves`, async () => {
    await using audit = await open()
    for (const [i, event] of EVENTS.entries()) {
      await audit.log.append(event)
      assert.deepEqual(audit.written(), EVENTS.slice(0, i + 1))
    }
  })
}

async function openMemory(): Promise<AuditUnderTest> {
  const store = openMemoryStore()
  return { log: store.auditLog, written: () => store.events, [Symbol.asyncDispose]: async () => {} }
}

async function openSqlite(): Promise<AuditUnderTest> {
  const scratch = await makeScratch()
  const store = await openSqliteStore({ path: scratch.path("s.db"), mode: "create" })
  const reader = new DatabaseSync(scratch.path("s.db"), { readOnly: true, timeout: 10_000 })
  const close = async (): Promise<void> => {
    reader.close()
    await store[Symbol.asyncDispose]()
    await scratch[Symbol.asyncDispose]()
  }
  return { log: store.auditLog, written: () => readEvents(reader), [Symbol.asyncDispose]: close }
}

function readEvents(db: DatabaseSync): readonly unknown[] {
  const rows = db.prepare("SELECT at, type, actor, request_id, data FROM audit_event ORDER BY seq").all()
  return rows.map(({ at, type, actor, request_id, data }) => ({
    ...JSON.parse(String(data)),
    at,
    type,
    actor,
    requestId: request_id,
  }))
}
