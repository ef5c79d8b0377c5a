import type { ChainOrigin } from "../../core/audit/chain.ts"
import type { Instant } from "../../core/time.ts"
import type { AuditChain, ChainState } from "../../ports/audit-log.ts"
import type { CommitQueue } from "./commit-queue.ts"

export class SqliteAuditChain implements AuditChain {
  readonly #queue: CommitQueue

  constructor(queue: CommitQueue) {
    this.#queue = queue
  }

  async start(origin: ChainOrigin, at: Instant): Promise<void> {
    await this.#queue.submit({ kind: "start-audit", origin, at })
  }

  async state(): Promise<ChainState> {
    const result = await this.#queue.submit({ kind: "read-audit-state" })
    if (result.kind !== "audit-state") throw new TypeError("store: no state of the audit chain")
    return result.state
  }
}
