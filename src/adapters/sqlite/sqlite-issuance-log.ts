import type { AuditEvent } from "../../core/audit/event.ts"
import type { Instant } from "../../core/time.ts"
import type {
  Intent,
  IntentGuards,
  IntentResult,
  IssuanceLog,
  IssuanceQuery,
  LoggedIssuance,
  Requester,
} from "../../ports/issuance-log.ts"
import { encodeAudit } from "./audit-row.ts"
import type { CommitQueue } from "./commit-queue.ts"
import { compact, encodeIntent, parseIntent } from "./intent-row.ts"
import { bytesOf } from "./sql-row.ts"

export interface SqliteIssuanceLogDeps {
  readonly queue: CommitQueue
  readonly search: (query: IssuanceQuery) => Promise<readonly LoggedIssuance[]>
  readonly findRequester: (serial: string) => Promise<Requester | undefined>
}

export class SqliteIssuanceLog implements IssuanceLog {
  readonly #deps: SqliteIssuanceLogDeps

  constructor(deps: SqliteIssuanceLogDeps) {
    this.#deps = deps
  }

  async recordIntent(
    intent: Intent,
    decision: AuditEvent,
    reuseSince: Instant,
    guards: IntentGuards,
  ): Promise<IntentResult> {
    const row = encodeIntent(intent)
    const result = await this.#deps.queue.submit({
      kind: "intent",
      intent: row.map((value) => (value instanceof Uint8Array ? compact(value) : value)),
      idempotencyKey: intent.idempotencyKey === undefined ? null : compact(intent.idempotencyKey),
      reuseSince,
      audit: encodeAudit(decision),
      bansSeen: guards.bansSeen,
      renewal: guards.renewal ?? null,
    })
    if (result.kind !== "row" || result.row === undefined) return { kind: "recorded" }
    return { kind: "already-issued", intent: parseIntent(result.row), signature: bytesOf(result.row, "signature") }
  }

  recordOutcome(serial: string, signature: Uint8Array): void {
    this.#deps.queue.submitBehind({ kind: "outcome", serial, signature: compact(signature) })
  }

  flush(): Promise<void> {
    return this.#deps.queue.flush()
  }

  search(query: IssuanceQuery): Promise<readonly LoggedIssuance[]> {
    return this.#deps.search(query)
  }

  findRequester(serial: string): Promise<Requester | undefined> {
    return this.#deps.findRequester(serial)
  }
}
