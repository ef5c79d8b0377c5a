import type { AuditEntry } from "../../core/audit/record.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import { isKeyJob, type Job, type JobResult, type OrderJob } from "./job.ts"
import { type Failure, isWrite, type Operation, parseFailure, WRITE_FAILED } from "./operation.ts"

/** Has jobs done, together with others or not, and their order kept. One result for each. */
export type RunJobs = (jobs: readonly Job[]) => Promise<readonly JobResult[]>
export type Accepted = Exclude<JobResult, { readonly kind: "failed" | "refused" }>

/** Stands between what was committed and those who wait for it. */
export interface RecordGate {
  /** Why nothing that is audited shall be written now. */
  readonly failure: IdentityError | undefined
  /** Resolves when what was committed is also where else it must be. @throws IdentityError `not-ready` */
  delivered(): Promise<void>
}

interface Pending {
  readonly job: Job
  readonly resolve: (result: Accepted) => void
  readonly reject: (error: IdentityError) => void
}

/**
 * What came up in one turn of the event loop travels together, in messages of a few. Groups form in the store's thread: what arrived
 * while one was being committed is the next one, and each message is answered as soon as it is signed. Jobs are
 * committed in the order they were given. @see STO-10 STO-15
 */
export class CommitQueue {
  readonly #run: RunJobs
  readonly #gate: RecordGate | undefined
  readonly #stalledAfter: Millis
  #waiting: Pending[] = []
  /** Those that were sent and not answered, and those that wait. */
  #open = 0
  #scheduled = false
  #behindTimer: NodeJS.Timeout | undefined
  #behindFailure: IdentityError | undefined
  #stalled: IdentityError | undefined
  #unwritable: IdentityError | undefined
  #retrying = false

  /** @param gate holds what is audited back until it is elsewhere, too */
  constructor(run: RunJobs, gate?: RecordGate, stalledAfter = STALLED_AFTER) {
    this.#run = run
    this.#gate = gate
    this.#stalledAfter = stalledAfter
  }

  /** Why nothing is written now: the thread has not answered for too long. Passes when it does. */
  get stalled(): IdentityError | undefined {
    return this.#stalled
  }

  /** Why the last that was to be written could not be. Passes when something can. @see STO-41 */
  get unwritable(): IdentityError | undefined {
    return this.#unwritable
  }

  /** Resolves when what `job` writes is durable. @throws IdentityError `rate-limited` when too many wait */
  submit(job: Job): Promise<Accepted> {
    const failure = this.#stalled ?? (AUDITED.has(job.kind) ? this.#gate?.failure : undefined)
    if (failure !== undefined) return Promise.reject(failure)
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
    const watch = setTimeout(() => this.#stall(sent), this.#stalledAfter)
    try {
      const results = await this.#run(sent.map(({ job }) => job))
      clearTimeout(watch) // how long the files take is theirs to judge, and no answer of the store ends it
      this.#stalled = undefined
      this.#judge(sent, results)
      const held = this.#hold(sent, results)
      for (const [index, pending] of sent.entries()) if (!held.has(pending)) settle(pending, results[index])
      if (held.size > 0) await this.#deliver(held)
    } catch (thrown) {
      const error = toIdentityError(thrown)
      for (const pending of sent) pending.reject(error)
    } finally {
      clearTimeout(watch)
      this.#open -= sent.length
    }
  }

  #judge(sent: readonly Pending[], results: readonly JobResult[]): void {
    let failed: Failure | undefined
    for (const [index, { job }] of sent.entries()) {
      if (!writes(job)) continue
      const result = results[index]
      if (result?.kind !== "failed" || result.failure.reason !== WRITE_FAILED) {
        this.#unwritable = undefined
        return
      }
      failed ??= result.failure
    }
    if (failed === undefined) return
    this.#unwritable = parseFailure(failed)
    this.#tryAgain()
  }

  /** Who hears that the store cannot write asks for nothing more, so a write of its own shows when it can again. */
  #tryAgain(): void {
    if (this.#unwritable === undefined || this.#retrying) return
    this.#retrying = true
    const attempt = async () => {
      await this.submit({ kind: "try-write" }).catch(() => undefined)
      this.#retrying = false
      this.#tryAgain()
    }
    setTimeout(() => void attempt(), RETRY_WRITE).unref()
  }

  /** What was audited, and must be elsewhere before anybody hears of it. @see INV-11 */
  #hold(sent: readonly Pending[], results: readonly JobResult[]): ReadonlyMap<Pending, JobResult> {
    if (this.#gate === undefined) return NOTHING
    return new Map(
      sent.flatMap((pending, index) => {
        const result = results[index]
        return AUDITED.has(pending.job.kind) && result !== undefined && result.kind !== "failed"
          ? [[pending, result]]
          : []
      }),
    )
  }

  async #deliver(held: ReadonlyMap<Pending, JobResult>): Promise<void> {
    await this.#gate?.delivered()
    for (const [pending, result] of held) settle(pending, result)
  }

  /** A disk that hangs: whoever waits is told that the outcome is unknown. The answer, when it comes, is nobody's. @see AUD-33 */
  #stall(sent: readonly Pending[]): void {
    const next = "see whether the disk of storage.sqlite hangs"
    const why = { reason: "store-stalled", retryAfter: 1, next }
    this.#stalled = new IdentityError("not-ready", "store does not answer", why)
    for (const { reject } of sent) reject(this.#stalled)
  }
}

function settle(pending: Pending, result: JobResult | undefined): void {
  if (result === undefined) pending.reject(new IdentityError("internal", "internal error"))
  else if (result.kind === "failed" || result.kind === "refused") pending.reject(parseFailure(result.failure))
  else pending.resolve(result)
}

function writes(job: Job): boolean {
  return job.kind === "order" || (!isKeyJob(job) && isWrite(job))
}

function queueFull(): IdentityError {
  return new IdentityError("rate-limited", "store has too many writes waiting", {
    retryAfter: 1,
    reason: "store-queue-full",
  })
}

/** Whatever brings an audit record along. */
const AUDITED_KINDS = {
  order: true,
  intent: true,
  audit: true,
  revoke: true,
  "add-ban": true,
  "lift-ban": true,
  "add-proposal": true,
  "decide-proposal": true,
  "resume-proposal": true,
  "settle-proposal": true,
  "keep-federated": true,
  "forget-federated": true,
} as const satisfies Record<OrderJob["kind"] | Extract<Operation, { readonly audit: AuditEntry }>["kind"], true>
const AUDITED: ReadonlySet<string> = new Set(Object.keys(AUDITED_KINDS))
const NOTHING: ReadonlyMap<Pending, JobResult> = new Map()
/** Twice as long as the store waits for a lock. */
const STALLED_AFTER: Millis = 10_000
const RETRY_WRITE: Millis = 1000
const MAX_OPEN = 8192
/** Small, so that the first of a group are on their way while the last are being signed. */
const MAX_MESSAGE = 16
const WRITE_BEHIND: Millis = 50
