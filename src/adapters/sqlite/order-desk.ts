import { toIdentityError } from "../../core/errors.ts"
import { digestSigned } from "../../core/jose/token-digest.ts"
import type { CommitEngine } from "./commit-engine.ts"
import type { HeldKeys } from "./held-keys.ts"
import { isKeyJob, type Job, type JobResult, type OrderJob } from "./job.ts"
import { encodeFailure, type Failure, type Operation, type OperationResult } from "./operation.ts"

/**
 * Steps 4 to 8 of the issuance cycle in one thread: a group becomes durable in one commit, and then its orders are signed.
 * What they came to is written with the next group. @see ISS-04 ISS-06 ISS-08
 */
export class OrderDesk {
  readonly #engine: CommitEngine
  readonly #keys: HeldKeys
  #outcomes: Operation[] = []
  #lost: Failure | undefined

  constructor(engine: CommitEngine, keys: HeldKeys) {
    this.#engine = engine
    this.#keys = keys
  }

  /** Whether there are outcomes that are not yet written. */
  get behind(): boolean {
    return this.#outcomes.length > 0
  }

  /**
   * One result for each job, in order, in as many parts as there are: all are committed together, and a part is there when it is
   * signed. Never throws.
   */
  *run(parts: readonly (readonly Job[])[]): Generator<readonly JobResult[]> {
    const recorded = this.#commit(parts.flatMap((jobs) => jobs.flatMap(operationOf)))
    let next = 0
    for (const jobs of parts) {
      yield jobs.map((job) => {
        if (isKeyJob(job)) return this.#attempt(() => this.#keys.run(job))
        const result = recorded[next++] ?? NO_RESULT
        if (job.kind === "barrier") return this.#tellLost(result)
        return job.kind === "order" && result.kind === "recorded" ? this.#sign(job, result.id) : result
      })
    }
  }

  /** Write the outcomes that wait. A failure is told to the next barrier. */
  flush(): void {
    if (this.behind) this.#commit([])
  }

  /** The outcomes that wait go first: a retry in this group finds what it asks for. */
  #commit(operations: readonly Operation[]): readonly OperationResult[] {
    const outcomes = this.#outcomes
    this.#outcomes = []
    if (outcomes.length + operations.length === 0) return []
    const results = this.#engine.run([...outcomes, ...operations])
    for (const result of results.slice(0, outcomes.length)) if (result.kind === "failed") this.#lost = result.failure
    return results.slice(outcomes.length)
  }

  #sign({ tbs, key, form, outcome }: OrderJob, intent: number): JobResult {
    return this.#attempt(() => {
      const signature = this.#keys.sign(key, tbs, form)
      const kept = outcome === "signature" ? signature : digestSigned(tbs, signature)
      this.#outcomes.push({ kind: "outcome-of", intent, signature: kept })
      return { kind: "signed", signature }
    })
  }

  #attempt(make: () => JobResult): JobResult {
    try {
      return make()
    } catch (thrown) {
      return { kind: "failed", failure: encodeFailure(toIdentityError(thrown)) }
    }
  }

  #tellLost(result: OperationResult): OperationResult {
    const failure = this.#lost
    this.#lost = undefined
    return failure === undefined ? result : { kind: "failed", failure }
  }
}

function operationOf(job: Job): readonly Operation[] {
  if (isKeyJob(job)) return []
  return [job.kind === "order" ? job.recording : job]
}

const NO_RESULT: OperationResult = {
  kind: "failed",
  failure: { code: "internal", message: "internal error", reason: undefined, next: undefined, detail: "no result" },
}
