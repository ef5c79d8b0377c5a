import { type ConsumerLog, type ConsumerRecord, MAX_CONSUMER_WRITE } from "../../ports/consumers.ts"
import type { CommitQueue } from "./commit-queue.ts"
import { encodeConsumer, parseConsumer } from "./consumer-row.ts"

export class SqliteConsumerLog implements ConsumerLog {
  readonly #queue: CommitQueue

  constructor(queue: CommitQueue) {
    this.#queue = queue
  }

  async write(records: readonly ConsumerRecord[], removed: readonly string[]): Promise<void> {
    if (records.length + removed.length > MAX_CONSUMER_WRITE)
      throw new RangeError("more than 1000 consumers in a write")
    await this.#queue.submit({ kind: "write-consumers", rows: records.map(encodeConsumer), removed })
  }

  async readAfter(after: string, limit: number): Promise<readonly ConsumerRecord[]> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_READ) throw new RangeError("limit is not 1 to 10000")
    const result = await this.#queue.submit({ kind: "read-consumers", after, limit })
    return result.kind === "rows" ? result.rows.map(parseConsumer) : []
  }
}

const MAX_READ = 10_000
