import type { AuditEvent } from "../../core/audit/event.ts"
import { BAN_KINDS, type Ban, type BanTarget, banName, parseBanTarget, type RecordedBan } from "../../core/ban/ban.ts"
import type { Instant } from "../../core/time.ts"
import type { BanLog, BanPage } from "../../ports/bans.ts"
import { encodeAudit } from "./audit-row.ts"
import type { CommitQueue } from "./commit-queue.ts"
import { integerOf, optionalIntegerOf, type SqlRow, textOf } from "./sql-row.ts"

export class SqliteBanLog implements BanLog {
  readonly #queue: CommitQueue

  constructor(queue: CommitQueue) {
    this.#queue = queue
  }

  async add(ban: Ban, audit: AuditEvent): Promise<void> {
    const { target, reason, actor, createdAt, until = null } = ban
    const row = { kind: target.kind, name: banName(target), reason, actor, createdAt, until }
    await this.#queue.submit({ kind: "add-ban", ban: row, audit: encodeAudit(audit) })
  }

  async lift(target: BanTarget, at: Instant, audit: AuditEvent): Promise<void> {
    const named = [target.kind, banName(target)] as const
    await this.#queue.submit({ kind: "lift-ban", target: named, at, audit: encodeAudit(audit) })
  }

  async readAfter(sequence: number, limit: number): Promise<BanPage> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_READ) throw new RangeError("limit is not 1 to 10000")
    const result = await this.#queue.submit({ kind: "read-bans", after: sequence, limit })
    if (result.kind !== "bans") throw new TypeError("store: bans were not read")
    return { records: result.rows.map(parseBan), head: result.head }
  }
}

function parseBan(row: SqlRow): RecordedBan {
  const kind = BAN_KINDS.find((one) => one === textOf(row, "kind"))
  if (kind === undefined) throw new TypeError("store: ban of unknown kind")
  return {
    sequence: integerOf(row, "sequence"),
    ban: {
      target: parseBanTarget(kind, textOf(row, "name")),
      reason: textOf(row, "reason"),
      actor: textOf(row, "actor"),
      createdAt: integerOf(row, "created_at"),
      until: optionalIntegerOf(row, "until"),
    },
    liftedAt: optionalIntegerOf(row, "lifted_at"),
  }
}

const MAX_READ = 10_000
