import type { KeyObject } from "node:crypto"
import { toIdentityError } from "../../core/errors.ts"
import { digestSigned } from "../../core/jose/token-digest.ts"
import type { CommitEngine } from "./commit-engine.ts"
import type { HeldKeys } from "./held-keys.ts"
import { isKeyJob, type Job, type JobResult, type KeyJob, type OrderJob } from "./job.ts"
import { encodeFailure, type Failure, type Operation, type OperationResult } from "./operation.ts"
import type { SigningThread } from "./signing-thread.ts"

/** Jobs that are answered together: with one result for each, in order. */
export interface Part {
  readonly jobs: readonly Job[]
  readonly answer: (results: readonly JobResult[]) => void
}

export type SecondSigner = Pick<SigningThread, "take" | "drain" | "recall">

/**
 * Steps 4 to 8 of the issuance cycle in one thread: a group becomes durable in one commit, and then its orders are signed.
 * What they came to is written with the next group. @see ISS-04 ISS-06 ISS-08
 */
export class OrderDesk {
  readonly #engine: CommitEngine
  readonly #keys: HeldKeys
  readonly #second: SecondSigner | undefined
  #outcomes: Operation[] = []
  #lost: Failure | undefined

  /** @param second signs tokens, when there are many */
  constructor(engine: CommitEngine, keys: HeldKeys, second?: SecondSigner) {
    this.#engine = engine
    this.#keys = keys
    this.#second = second
  }

  /** Whether there are outcomes that are not yet written. */
  get behind(): boolean {
    return this.#outcomes.length > 0
  }

  /**
   * All parts are committed together, and each is answered when it is signed, which may be after this returned. Throws
   * nothing but what the engine does.
   */
  run(parts: readonly Part[]): void {
    const recorded = this.#commit(parts.flatMap(({ jobs }) => jobs.flatMap(operationOf))).values()
    for (const part of parts) this.#serve(part, recorded)
    // Its messages might wait behind many more groups.
    this.#second?.drain()
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

  #serve({ jobs, answer }: Part, recorded: Iterator<OperationResult>): void {
    const tokens: Token[] = []
    const results = jobs.map((job, index) => {
      if (isKeyJob(job)) return this.#attempt(() => this.#runKeyJob(job))
      const result: OperationResult = recorded.next().value ?? NO_RESULT
      if (job.kind === "barrier") return this.#tellLost(result)
      if (job.kind !== "order" || result.kind !== "recorded") return result
      return this.#attempt(() => {
        const token = { index, order: job, intent: result.id, key: this.#keys.find(job.key) }
        if (!isToken(job)) return this.#sign(token)
        tokens.push(token)
        return result
      })
    })
    this.#signTokens(tokens, (signed) => {
      for (const [index, result] of signed) results[index] = result
      answer(results)
    })
  }

  /** In the second thread, or here when that takes none or gives them back. */
  #signTokens(tokens: readonly Token[], done: (signed: readonly (readonly [number, JobResult])[]) => void): void {
    const finish = (signatures: readonly Uint8Array[] | undefined): void => {
      done(
        tokens.map((token, at) => {
          const signature = signatures?.[at]
          const signed = signature === undefined ? this.#attempt(() => this.#sign(token)) : this.#keep(token, signature)
          return [token.index, signed]
        }),
      )
    }
    const unsigned = tokens.map(({ key, order }) => ({ key, data: order.tbs }))
    if (this.#second?.take(unsigned, finish) !== true) finish(undefined)
  }

  #sign(recorded: Recorded): JobResult {
    const { key, order } = recorded
    return this.#keep(recorded, this.#keys.sign(key, order.tbs, order.form))
  }

  #keep({ order: { tbs, outcome }, intent }: Recorded, signature: Uint8Array): JobResult {
    const kept = outcome === "signature" ? signature : digestSigned(tbs, signature)
    this.#outcomes.push({ kind: "outcome-of", intent, signature: kept })
    return { kind: "signed", signature }
  }

  /** A key that is let go of signs nothing afterwards, in no thread. */
  #runKeyJob(job: KeyJob): JobResult {
    if (job.kind === "forget-key") this.#second?.recall()
    return this.#keys.run(job)
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

/** An order whose intent is durable, in that row, and its key. */
interface Recorded {
  readonly order: OrderJob
  readonly intent: number
  readonly key: KeyObject
}

/** The job at `index` of its part. */
interface Token extends Recorded {
  readonly index: number
}

/** A request for one is never a retry, so nobody misses what is signed and not yet known here. @see ISS-10 */
function isToken({ outcome, form }: OrderJob): boolean {
  return outcome === "digest" && form === "p1363"
}

function operationOf(job: Job): readonly Operation[] {
  if (isKeyJob(job)) return []
  return [job.kind === "order" ? job.recording : job]
}

const NO_RESULT: OperationResult = {
  kind: "failed",
  failure: { code: "internal", message: "internal error", reason: undefined, next: undefined, detail: "no result" },
}
