import {
  type ChainHead,
  type ChainOrigin,
  hashRecord,
  NO_RECORD,
  parseSeal,
  startedEvent,
} from "../../core/audit/chain.ts"
import type { AuditEvent } from "../../core/audit/event.ts"
import { type AuditRecord, entryOf } from "../../core/audit/record.ts"
import type { Instant } from "../../core/time.ts"
import type { AuditChain, ChainState } from "../../ports/audit-log.ts"
import type { FaultyWrite } from "./memory-store.ts"

/** @see MemoryStore */
export class MemoryAuditChain implements AuditChain {
  /** Oldest first. */
  readonly records: AuditRecord[] = []
  readonly #faulty: FaultyWrite
  #head: ChainHead = NO_RECORD
  #incarnation: string | undefined

  constructor(faulty: FaultyWrite) {
    this.#faulty = faulty
  }

  append(event: AuditEvent): void {
    const entry = entryOf(event)
    const hash = hashRecord(this.#head, entry)
    this.#head = { sequence: this.#head.sequence + 1, hash }
    const chained = this.#incarnation !== undefined || event.type === "audit.started"
    this.records.push({ ...entry, sequence: this.#head.sequence, hash: chained ? hash : undefined })
  }

  async start(origin: ChainOrigin, at: Instant): Promise<void> {
    if (this.#incarnation === origin.incarnation) return
    this.#faulty("audit", () => {
      this.append(startedEvent(origin, this.#head, at))
      this.#incarnation = origin.incarnation
    })
  }

  async state(): Promise<ChainState> {
    const head = this.#incarnation === undefined ? NO_RECORD : this.#head
    const started = this.records.findLast(({ type }) => type === "audit.started")?.sequence ?? 0
    const newest = this.records.findLast(({ type }) => type === "audit.sealed")
    const seal = newest === undefined ? undefined : parseSeal(newest.data)
    if (seal === undefined) return { head, started, sealed: undefined }
    return { head, started, sealed: { seal, found: this.records[seal.sequence - 1]?.hash } }
  }
}
