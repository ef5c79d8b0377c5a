import { createHash, randomBytes } from "node:crypto"
import { IdentityError } from "../../core/errors.ts"
import type { ReplayClaim, ReplayLog } from "../../ports/replay-log.ts"
import type { CommitQueue } from "./commit-queue.ts"
import type { Operation } from "./operation.ts"

/** One commit for each claim, grouped with whatever else is written then. */
export class SqliteReplayLog implements ReplayLog {
  readonly #queue: CommitQueue

  constructor(queue: CommitQueue) {
    this.#queue = queue
  }

  async claim({ use, id, until }: ReplayClaim): Promise<"claimed" | "replayed"> {
    if (id === "" || id.length > MAX_ID) throw new RangeError("id of a claim is not 1 to 4096 characters")
    const operation: Operation = {
      kind: "claim",
      use,
      id: createHash("sha256").update(id).digest(),
      holder: randomBytes(HOLDER_BYTES),
      until,
    }
    const result = await this.#queue.submit(operation).catch((thrown: unknown) => {
      // The outcome is unknown. Said again by the same holder it is the same claim, and that one is known. @see INV-25
      if (thrown instanceof IdentityError && thrown.code === "not-ready") return this.#queue.submit(operation)
      throw thrown
    })
    return result.kind === "claim" && result.won ? "claimed" : "replayed"
  }
}

const MAX_ID = 4096
const HOLDER_BYTES = 16
