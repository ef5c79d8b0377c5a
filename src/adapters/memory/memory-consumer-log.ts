import type { ConsumerLog, ConsumerRecord } from "../../ports/consumers.ts"
import { MAX_CONSUMER_WRITE } from "../../ports/consumers.ts"
import type { FaultyWrite } from "./memory-store.ts"

/** @see MemoryStore */
export class MemoryConsumerLog implements ConsumerLog {
  readonly #faulty: FaultyWrite
  readonly #records = new Map<string, ConsumerRecord>()

  constructor(faulty: FaultyWrite) {
    this.#faulty = faulty
  }

  async write(records: readonly ConsumerRecord[], removed: readonly string[]): Promise<void> {
    if (records.length + removed.length > MAX_CONSUMER_WRITE)
      throw new RangeError("more than 1000 consumers in a write")
    this.#faulty("consumer", () => {
      for (const id of removed) this.#records.delete(id)
      for (const record of records) this.#records.set(record.id, record)
    })
  }

  async readAfter(after: string, limit: number): Promise<readonly ConsumerRecord[]> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_READ) throw new RangeError("limit is not 1 to 10000")
    const following = [...this.#records.values()].filter(
      ({ id }) => Buffer.compare(Buffer.from(id), Buffer.from(after)) > 0,
    )
    return following.sort((a, b) => Buffer.compare(Buffer.from(a.id), Buffer.from(b.id))).slice(0, limit)
  }
}

const MAX_READ = 10_000
