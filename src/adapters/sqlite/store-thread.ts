import { once } from "node:events"
import { extname } from "node:path"
import { Worker } from "node:worker_threads"
import { IdentityError } from "../../core/errors.ts"
import type { Job, JobResult } from "./job.ts"
import type { OpenMode } from "./open-database.ts"
import { type Failure, parseFailure } from "./operation.ts"
import { type PackedJobs, type PackedResults, packJobs, unpackResults } from "./packed-jobs.ts"

export interface StoreWorkerData {
  readonly path: string
  readonly mode: OpenMode
}

export type StoreRequest =
  | { readonly kind: "run"; readonly id: number; readonly count: number; readonly jobs: PackedJobs }
  | { readonly kind: "close" }

export type StoreReply =
  | { readonly kind: "ready" }
  | { readonly kind: "unusable"; readonly failure: Failure }
  /** Answers, in order, to what was asked in the message of that number. */
  | { readonly kind: "ran"; readonly id: number; readonly results: PackedResults }

interface Asked {
  readonly resolve: (results: readonly JobResult[]) => void
  readonly reject: (error: IdentityError) => void
}

/** The store's thread, seen from the main thread. Dead means dead: it is never started again. */
export class StoreThread implements AsyncDisposable {
  readonly #worker: Worker
  readonly #asked = new Map<number, Asked>()
  #sent = 0
  #failure: IdentityError | undefined

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.on("message", (reply: StoreReply) => {
      if (reply.kind === "ran") this.#settle(reply.id, unpackResults(reply.results))
    })
    worker.on("error", (cause) => this.#die(cause))
    worker.on("exit", () => this.#die(undefined))
  }

  /** @throws IdentityError as the store could not be opened */
  static async start(data: StoreWorkerData): Promise<StoreThread> {
    const worker = new Worker(new URL(`./store-worker${extname(import.meta.filename)}`, import.meta.url), {
      workerData: data,
    })
    const [first]: StoreReply[] = await once(worker, "message")
    if (first?.kind === "ready") return new StoreThread(worker)
    await worker.terminate()
    if (first?.kind === "unusable") throw parseFailure(first.failure)
    throw new TypeError("store thread did not start")
  }

  /** Why nothing will be written any more; `undefined` while it lives. */
  get failure(): IdentityError | undefined {
    return this.#failure
  }

  /**
   * One result for each job, of which there must be some. Jobs are committed in the order they are given, and may share a
   * commit with those of other calls. @throws IdentityError `not-ready` when the thread is dead or dies: the outcome is unknown
   */
  run(jobs: readonly Job[]): Promise<readonly JobResult[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const id = this.#sent++
      this.#asked.set(id, { resolve, reject })
      const packed = packJobs(jobs)
      this.#send({ kind: "run", id, count: jobs.length, jobs: packed }, [packed.bytes.buffer])
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure !== undefined) return
    const exited = once(this.#worker, "exit")
    this.#send({ kind: "close" }, [])
    await exited
  }

  #send(request: StoreRequest, transfer: readonly ArrayBuffer[]): void {
    this.#worker.postMessage(request, transfer)
  }

  #settle(id: number, results: readonly JobResult[]): void {
    const asked = this.#asked.get(id)
    if (asked === undefined) throw new TypeError("store thread answered what it was not asked")
    this.#asked.delete(id)
    asked.resolve(results)
  }

  #die(cause: unknown): void {
    this.#failure ??= new IdentityError("not-ready", "store is closed", { cause, reason: "store-dead" })
    for (const { reject } of this.#asked.values()) reject(this.#failure)
    this.#asked.clear()
  }
}
