import type { AuditEvent } from "../../core/audit/event.ts"
import { type Ban, type BanTarget, banName, isInForce, type RecordedBan } from "../../core/ban/ban.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { BanLog, BanPage } from "../../ports/bans.ts"
import type { FaultyWrite } from "./memory-store.ts"

/** @see MemoryStore */
export class MemoryBanLog implements BanLog {
  readonly #faulty: FaultyWrite
  readonly #audit: (event: AuditEvent) => void
  /** By target, in the order of their numbers. */
  readonly #records = new Map<string, RecordedBan>()
  #head = 0

  constructor(faulty: FaultyWrite, audit: (event: AuditEvent) => void) {
    this.#faulty = faulty
    this.#audit = audit
  }

  get head(): number {
    return this.#head
  }

  async add(ban: Ban, audit: AuditEvent): Promise<void> {
    const known = this.#records.get(nameOf(ban.target))
    if (known === undefined && this.#records.size >= MAX_BANS) {
      throw new IdentityError("rate-limited", "too many bans are remembered; ban a prefix, namespace or cluster", {
        reason: "bans-full",
      })
    }
    const before = known !== undefined && isInForce(known, ban.createdAt) ? known.ban : undefined
    this.#faulty("ban", () => this.#put(before === undefined ? ban : laterOf(ban, before), undefined, audit))
  }

  async lift(target: BanTarget, at: Instant, audit: AuditEvent): Promise<void> {
    const known = this.#records.get(nameOf(target))
    if (known === undefined || !isInForce(known, at)) {
      throw new IdentityError("not-found", "no such ban is in force", { reason: "ban-not-found" })
    }
    this.#faulty("ban", () => this.#put(known.ban, at, audit))
  }

  async readAfter(sequence: number, limit: number): Promise<BanPage> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_READ) throw new RangeError("limit is not 1 to 10000")
    const records = [...this.#records.values()].filter((record) => record.sequence > sequence).slice(0, limit)
    return { records, head: this.#head }
  }

  #put(ban: Ban, liftedAt: Instant | undefined, audit: AuditEvent): void {
    this.#audit(audit)
    this.#records.delete(nameOf(ban.target))
    this.#records.set(nameOf(ban.target), { sequence: ++this.#head, ban, liftedAt })
  }
}

function nameOf(target: BanTarget): string {
  return `${target.kind} ${banName(target)}`
}

function laterOf(ban: Ban, before: Ban): Ban {
  const until = ban.until === undefined || before.until === undefined ? undefined : Math.max(ban.until, before.until)
  return { ...ban, createdAt: before.createdAt, until }
}

const MAX_READ = 10_000
const MAX_BANS = 10_000
