import { extname } from "node:path"
import { Worker } from "node:worker_threads"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import type { RecordGate } from "./commit-queue.ts"

export interface FollowerWorkerData {
  readonly path: string
  readonly file: string
  readonly trustDomain: string
  readonly patience: Millis
  /** What a thread before this one said; `undefined`: there was none, or it said nothing. */
  readonly reached: number | undefined
}

export type FollowerRequest = "follow" | "close"

export type FollowerReply =
  /** `reached`: sequence of the last record that is in the file; `undefined` until it was opened. */
  | { readonly kind: "progress"; readonly reached: number | undefined }
  | { readonly kind: "done"; readonly reached: number | undefined }
  | { readonly kind: "failed"; readonly detail: string }

export interface AuditFiles {
  /** Paths of files or named pipes. */
  readonly files: readonly string[]
  readonly trustDomain: string
  /** How long a write may hang. */
  readonly patience: Millis
  /** Told when one of them cannot be written any more, and when it can again: once for each change. */
  readonly changed?: (file: string, failure: IdentityError | undefined) => void
}

/**
 * Holds what is recorded back until one of several files has it. Each file has a thread, so that one that hangs holds up no other.
 * While all fail, nothing is recorded at all; each is tried again every second. @see AUD-30 AUD-31 AUD-32
 */
export class AuditFollowers implements RecordGate, AsyncDisposable {
  readonly #followers: readonly Follower[]

  private constructor(followers: readonly Follower[]) {
    this.#followers = followers
  }

  /** Every file is up to date when it resolves. @throws IdentityError `not-ready`, reason `audit-failed`, when one cannot be */
  static async open(path: string, { files, trustDomain, patience, changed }: AuditFiles): Promise<AuditFollowers> {
    const followers = files.map((file) => {
      return new Follower({ path, file, trustDomain, patience }, (failure) => changed?.(file, failure))
    })
    const opened = new AuditFollowers(followers)
    try {
      await Promise.all(followers.map((follower) => follower.begin()))
      return opened
    } catch (error) {
      await opened[Symbol.asyncDispose]()
      throw error
    }
  }

  get failure(): IdentityError | undefined {
    const failures = this.#followers.map(({ failure }) => failure)
    return failures.length > 0 && failures.every((failure) => failure !== undefined) ? failures[0] : undefined
  }

  async delivered(): Promise<void> {
    try {
      await Promise.any(this.#followers.map((follower) => follower.follow()))
    } catch (thrown) {
      throw thrown instanceof AggregateError ? thrown.errors[0] : thrown
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#followers.map((follower) => follower[Symbol.asyncDispose]()))
  }
}

interface Ticket {
  readonly resolve: () => void
  readonly reject: (error: IdentityError) => void
}

/**
 * One file's thread, seen from the main thread. One round at a time; who comes during a round waits for the next. A thread that
 * ended is followed by another, which finds its place in the file.
 */
class Follower implements AsyncDisposable {
  readonly #data: Omit<FollowerWorkerData, "reached">
  readonly #changed: (failure: IdentityError | undefined) => void
  #worker: Worker | undefined
  #exited: Promise<void> = Promise.resolve()
  #reached: number | undefined
  #failure: IdentityError | undefined
  #current: Ticket[] | undefined
  #next: Ticket[] = []
  #timer: NodeJS.Timeout | undefined
  #closed = false
  /** The thread has begun to work; what it takes to load is no sign of a file that hangs. */
  #up = false

  constructor(data: Omit<FollowerWorkerData, "reached">, changed: (failure: IdentityError | undefined) => void) {
    this.#data = data
    this.#changed = changed
  }

  get failure(): IdentityError | undefined {
    return this.#failure
  }

  /** Resolves when all that was committed before this call is in the file. @throws IdentityError `not-ready` */
  follow(): Promise<void> {
    if (this.#closed) return Promise.reject(this.#failureOf("it is closed"))
    return new Promise((resolve, reject) => {
      this.#next.push({ resolve, reject })
      const isTried = this.#current !== undefined || this.#worker === undefined // or will be, by another thread
      if (this.#failure !== undefined && isTried) this.#refuse(this.#failure)
      else this.#begin()
    })
  }

  /** {@link follow}, for whoever starts the server and has to know which file it is. */
  async begin(): Promise<void> {
    try {
      await this.follow()
    } catch (thrown) {
      const { code, reason, cause } = toIdentityError(thrown)
      const why = cause instanceof Error ? cause.message : this.#data.file
      throw new IdentityError(code, `an audit file cannot be written: ${why}`, { cause, reason: reason ?? code })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    if (this.#current !== undefined && this.#failure !== undefined) void this.#worker?.terminate()
    else this.#send("close")
    await this.#exited
  }

  #begin(): void {
    if (this.#current !== undefined || this.#closed) return
    this.#current = this.#next
    this.#next = []
    try {
      this.#worker ??= this.#start()
    } catch (thrown) {
      this.#fail(String(thrown))
      return
    }
    this.#watch()
    this.#send("follow")
  }

  /** @throws Error of Node when there is no room for a thread */
  #start(): Worker {
    const url = new URL(`./follower-worker${extname(import.meta.filename)}`, import.meta.url)
    const workerData: FollowerWorkerData = { ...this.#data, reached: this.#reached }
    const worker = new Worker(url, { workerData })
    this.#up = false
    this.#exited = new Promise((resolve) => worker.once("exit", () => resolve()))
    worker.on("message", (reply: FollowerReply) => this.#hear(reply))
    worker.on("error", (cause) => this.#fail(String(cause)))
    worker.on("exit", () => {
      this.#worker = undefined
      this.#fail("its thread ended")
    })
    return worker
  }

  /** The thread itself gives up on a pipe a little earlier. */
  #watch(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(
      () => {
        this.#refuse(this.#become(`it hangs for ${this.#data.patience} ms`))
      },
      this.#up ? this.#data.patience + GRACE : LOADING,
    )
  }

  #hear(reply: FollowerReply): void {
    this.#up = true
    if (reply.kind !== "failed") this.#reached = reply.reached ?? this.#reached
    if (reply.kind === "progress") {
      if (this.#current !== undefined) this.#watch()
    } else if (reply.kind === "failed") this.#fail(reply.detail)
    else this.#finish()
  }

  #finish(): void {
    clearTimeout(this.#timer)
    if (this.#failure !== undefined) this.#changed(undefined)
    this.#failure = undefined
    const done = this.#current ?? []
    this.#current = undefined
    for (const { resolve } of done) resolve()
    if (this.#next.length > 0) this.#begin()
  }

  #fail(detail: string): void {
    clearTimeout(this.#timer)
    this.#refuse(this.#become(detail))
    this.#current = undefined
    if (!this.#closed) this.#timer = setTimeout(() => this.#begin(), RETRY_AFTER).unref()
  }

  #refuse(error: IdentityError): void {
    for (const { reject } of this.#current?.splice(0) ?? []) reject(error)
    for (const { reject } of this.#next.splice(0)) reject(error)
  }

  #become(detail: string): IdentityError {
    const before = this.#failure
    const failure = this.#failureOf(detail)
    this.#failure = failure
    if (before === undefined && !this.#closed) this.#changed(failure)
    return failure
  }

  /** Callers hear of it, so it names no path. */
  #failureOf(detail: string): IdentityError {
    const cause = new IdentityError("not-ready", `${this.#data.file}: ${detail}`)
    const message = "the audit log cannot be written, and nothing is given without it"
    const next =
      "make one of the files of audit.sinks one that can be written again; the server's log says what is wrong"
    return new IdentityError("not-ready", message, { cause, reason: "audit-failed", retryAfter: 1, next })
  }

  #send(request: FollowerRequest): void {
    this.#worker?.postMessage(request)
  }
}

const GRACE: Millis = 500
/** For a thread to start, on a machine that is busy. */
const LOADING: Millis = 30_000
const RETRY_AFTER: Millis = 1000
