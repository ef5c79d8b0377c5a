import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import { type Operation, type OperationResult, parseFailure } from "./operation.ts"

/** Runs one group as one commit. */
export type RunGroup = (group: readonly Operation[]) => Promise<readonly OperationResult[]>
export type Accepted = Exclude<OperationResult, { readonly kind: "failed" }>

interface Pending {
  readonly operation: Operation
  readonly resolve: (result: Accepted) => void
  readonly reject: (error: IdentityError) => void
}

/**
 * Group commit: while one group is being committed, the next one gathers. Operations run in the order they were given.
 * @see STO-10 STO-15
 */
export class CommitQueue {
  readonly #run: RunGroup
  #waiting: Pending[] = []
  #running = false
  #urgent = false
  #behindTimer: NodeJS.Timeout | undefined
  #behindFailure: IdentityError | undefined

  constructor(run: RunGroup) {
    this.#run = run
  }

  /** Resolves when `operation` is durable. @throws IdentityError `rate-limited` when the queue is full */
  submit(operation: Operation): Promise<Accepted> {
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(queueFull())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ operation, resolve, reject })
      this.#hurry()
    })
  }

  /** Write `operation` within 50 ms or with the next group. Its failure is told to the next {@link flush}. */
  submitBehind(operation: Operation): void {
    const reject = (error: IdentityError): void => {
      this.#behindFailure = error
    }
    if (this.#waiting.length >= MAX_WAITING) reject(queueFull())
    else this.#waiting.push({ operation, resolve: () => {}, reject })
    this.#behindTimer ??= setTimeout(() => this.#hurry(), WRITE_BEHIND)
  }

  /** Resolves when everything given so far is durable. @throws IdentityError when something written behind was lost */
  async flush(): Promise<void> {
    await this.submit({ kind: "barrier" })
    const failure = this.#behindFailure
    this.#behindFailure = undefined
    if (failure !== undefined) throw failure
  }

  #hurry(): void {
    if (this.#urgent) return
    this.#urgent = true
    // Wait for the end of this turn of the event loop: requests that arrived together share a commit.
    if (!this.#running) setImmediate(() => void this.#drain())
  }

  async #drain(): Promise<void> {
    if (this.#running) return
    this.#running = true
    while (this.#urgent) {
      const group = this.#waiting.splice(0, MAX_GROUP)
      this.#urgent = this.#waiting.length > 0
      clearTimeout(this.#behindTimer)
      this.#behindTimer = undefined
      await this.#commit(group)
    }
    this.#running = false
  }

  async #commit(group: readonly Pending[]): Promise<void> {
    try {
      const results = await this.#run(group.map((pending) => pending.operation))
      for (const [index, pending] of group.entries()) settle(pending, results[index])
    } catch (thrown) {
      const error = toIdentityError(thrown)
      for (const pending of group) pending.reject(error)
    }
  }
}

function settle(pending: Pending, result: OperationResult | undefined): void {
  if (result === undefined) pending.reject(new IdentityError("internal", "internal error"))
  else if (result.kind === "failed") pending.reject(parseFailure(result.failure))
  else pending.resolve(result)
}

function queueFull(): IdentityError {
  return new IdentityError("rate-limited", "store has too many writes waiting", {
    retryAfter: 1,
    reason: "store-queue-full",
  })
}

const MAX_WAITING = 8192
const MAX_GROUP = 1024
const WRITE_BEHIND: Millis = 50
