import type { AuditEvent } from "../../core/audit/event.ts"
import { parseSpiffeId } from "../../core/spiffe/id.ts"
import type { RecordedRevocation, Revocation, RevocationLog } from "../../ports/revocations.ts"
import { encodeAudit } from "./audit-row.ts"
import type { CommitQueue } from "./commit-queue.ts"
import { integerOf, type SqlRow, textOf } from "./sql-row.ts"

export class SqliteRevocationLog implements RevocationLog {
  readonly #queue: CommitQueue

  constructor(queue: CommitQueue) {
    this.#queue = queue
  }

  async record(revocation: Revocation, audit: AuditEvent): Promise<void> {
    await this.#queue.submit({ kind: "revoke", row: encodeRevocation(revocation), audit: encodeAudit(audit) })
  }

  async readAfter(sequence: number, limit: number): Promise<readonly RecordedRevocation[]> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_READ) throw new RangeError("limit is not 1 to 10000")
    const result = await this.#queue.submit({ kind: "read-revocations", after: sequence, limit })
    return result.kind === "rows" ? result.rows.map(parseRevocation) : []
  }
}

/** kind, name, issued_until, until. */
function encodeRevocation(revocation: Revocation): readonly [string, string, number, number] {
  switch (revocation.kind) {
    case "token":
      return ["token", revocation.tokenId, 0, revocation.until]
    case "subject":
      return ["subject", revocation.subject, revocation.issuedUntil, revocation.until]
    default:
      return revocation satisfies never
  }
}

function parseRevocation(row: SqlRow): RecordedRevocation {
  const sequence = integerOf(row, "sequence")
  const kind = textOf(row, "kind")
  const name = textOf(row, "name")
  const until = integerOf(row, "until")
  if (kind === "token") return { sequence, revocation: { kind, tokenId: name, until } }
  if (kind !== "subject") throw new TypeError("store: revocation of unknown kind")
  const issuedUntil = integerOf(row, "issued_until")
  return { sequence, revocation: { kind, subject: parseSpiffeId(name), issuedUntil, until } }
}

const MAX_READ = 10_000
