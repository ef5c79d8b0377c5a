import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import type { Job, JobResult } from "./job.ts"
import { parseFailure } from "./operation.ts"

/** Has jobs done, together with others or not, and their order kept. One result for each. */
export type RunJobs = (jobs: readonly Job[]) => Promise<readonly JobResult[]>
export type Accepted = Exclude<JobResult, { readonly kind: "failed" }>

interface Pending {
  readonly job: Job
  readonly resolve: (result: Accepted) => void
  readonly reject: (error: IdentityError) => void
}

/**
 * What came up in one turn of the event loop travels as one message. Groups form in the store's thread: what arrived while one
 * was being committed is the next one. Jobs are done in the order they were given. @see STO-10 STO-15
 */
export class CommitQueue {
  readonly #run: RunJobs
  #waiting: Pending[] = []
  /** Those that were sent and not answered, and those that wait. */
  #open = 0
  #scheduled = false
  #behindTimer: NodeJS.Timeout | undefined
  #behindFailure: IdentityError | undefined

  constructor(run: RunJobs) {
    this.#run = run
  }

  /** Resolves when what `job` writes is durable. @throws IdentityError `rate-limited` when too many wait */
  submit(job: Job): Promise<Accepted> {
    if (this.#open >= MAX_OPEN) return Promise.reject(queueFull())
    return new Promise((resolve, reject) => {
      this.#add({ job, resolve, reject })
      this.#schedule()
    })
  }

  /** Write `job` within 50 ms or with the next group. Its failure is told to the next {@link flush}. */
  submitBehind(job: Job): void {
    const reject = (error: IdentityError): void => {
      this.#behindFailure = error
    }
    if (this.#open >= MAX_OPEN) reject(queueFull())
    else this.#add({ job, resolve: () => {}, reject })
    this.#behindTimer ??= setTimeout(() => this.#schedule(), WRITE_BEHIND)
  }

  /** Resolves when everything given so far is durable. @throws IdentityError when something written behind was lost */
  async flush(): Promise<void> {
    await this.submit({ kind: "barrier" })
    const failure = this.#behindFailure
    this.#behindFailure = undefined
    if (failure !== undefined) throw failure
  }

  #add(pending: Pending): void {
    this.#open++
    this.#waiting.push(pending)
  }

  /** At the end of this turn of the event loop: requests that arrived together share a message. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#send())
  }

  #send(): void {
    this.#scheduled = false
    clearTimeout(this.#behindTimer)
    this.#behindTimer = undefined
    while (this.#waiting.length > 0) void this.#settle(this.#waiting.splice(0, MAX_MESSAGE))
  }

  async #settle(sent: readonly Pending[]): Promise<void> {
    try {
      const results = await this.#run(sent.map(({ job }) => job))
      this.#open -= sent.length
      for (const [index, pending] of sent.entries()) settle(pending, results[index])
    } catch (thrown) {
      this.#open -= sent.length
      const error = toIdentityError(thrown)
      for (const pending of sent) pending.reject(error)
    }
  }
}

function settle(pending: Pending, result: JobResult | undefined): void {
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

const MAX_OPEN = 8192
const MAX_MESSAGE = 256
const WRITE_BEHIND: Millis = 50
