import { DatabaseSync } from "node:sqlite"
import { encodeAudit } from "../../src/adapters/sqlite/audit-row.ts"
import { encodeIntent } from "../../src/adapters/sqlite/intent-row.ts"
import type { Operation } from "../../src/adapters/sqlite/operation.ts"
import type { Intent } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "./issuance-fixtures.ts"

/** "kept": COMMIT happens and then throws. "lost": the transaction is gone, and COMMIT throws. */
export class FaultyDatabase extends DatabaseSync {
  fault: "none" | "lost" | "kept" = "none"

  override exec(sql: string): void {
    const failing = sql === "COMMIT" && this.fault !== "none"
    super.exec(failing && this.fault === "lost" ? "ROLLBACK" : sql)
    if (failing) throw Object.assign(new Error("disk I/O error"), { errcode: 1034 })
  }
}

/** What the store is asked for {@link fixtureIntent}, without idempotency and lineage. */
export function intentOperation(serial: string, change: Partial<Intent> = {}): Operation {
  return {
    kind: "intent",
    intent: encodeIntent(fixtureIntent(serial, change)),
    idempotencyKey: null,
    reuseSince: FIXTURE_NOW,
    audit: encodeAudit(fixtureGrant(serial)),
    ...NO_BANS,
    renewal: null,
  }
}
