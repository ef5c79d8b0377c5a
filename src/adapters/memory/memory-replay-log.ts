import { IdentityError } from "../../core/errors.ts"
import type { ReplayClaim, ReplayLog } from "../../ports/replay-log.ts"
import type { FaultyWrite } from "./memory-store.ts"

/** @see MemoryStore */
export class MemoryReplayLog implements ReplayLog {
  readonly #faulty: FaultyWrite
  readonly #claims = new Set<string>()

  constructor(faulty: FaultyWrite) {
    this.#faulty = faulty
  }

  async claim({ use, id }: ReplayClaim): Promise<"claimed" | "replayed"> {
    if (id === "" || id.length > MAX_ID) throw new RangeError("id of a claim is not 1 to 4096 characters")
    const name = `${use} ${id}`
    if (this.#claims.has(name)) return "replayed"
    if (this.#claims.size >= MAX_CLAIMS) {
      throw new IdentityError("rate-limited", "too many proofs are remembered", { reason: "replay-log-full" })
    }
    return this.#faulty("claim", () => {
      this.#claims.add(name)
      return "claimed"
    })
  }
}

const MAX_ID = 4096
const MAX_CLAIMS = 100_000
