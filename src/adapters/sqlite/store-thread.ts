import { once } from "node:events"
import { extname } from "node:path"
import { Worker } from "node:worker_threads"
import { IdentityError } from "../../core/errors.ts"
import type { OpenMode } from "./open-database.ts"
import { type Failure, type Operation, type OperationResult, parseFailure } from "./operation.ts"

export interface StoreWorkerData {
  readonly path: string
  readonly mode: OpenMode
}

export type StoreRequest = { readonly kind: "run"; readonly group: readonly Operation[] } | { readonly kind: "close" }

export type StoreReply =
  | { readonly kind: "ready" }
  | { readonly kind: "unusable"; readonly failure: Failure }
  | { readonly kind: "ran"; readonly results: readonly OperationResult[] }

/** The store's thread, seen from the main thread. Runs one group at a time. Dead means dead: it is never started again. */
export class StoreThread implements AsyncDisposable {
  readonly #worker: Worker
  #failure: IdentityError | undefined
  #settle: ((results: readonly OperationResult[] | IdentityError) => void) | undefined

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.on("message", (reply: StoreReply) => {
      if (reply.kind === "ran") this.#settleWith(reply.results)
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

  /** One result per operation. @throws IdentityError `not-ready` when the thread is dead or dies: the outcome is unknown */
  run(group: readonly Operation[]): Promise<readonly OperationResult[]> {
    if (this.#settle !== undefined) throw new TypeError("store thread is busy")
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      this.#settle = (outcome) => (outcome instanceof IdentityError ? reject(outcome) : resolve(outcome))
      this.#send({ kind: "run", group })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure !== undefined) return
    const exited = once(this.#worker, "exit")
    this.#send({ kind: "close" })
    await exited
  }

  #send(request: StoreRequest): void {
    this.#worker.postMessage(request)
  }

  #settleWith(outcome: readonly OperationResult[] | IdentityError): void {
    const settle = this.#settle
    this.#settle = undefined
    settle?.(outcome)
  }

  #die(cause: unknown): void {
    this.#failure ??= new IdentityError("not-ready", "store is closed", { cause, reason: "store-dead" })
    this.#settleWith(this.#failure)
  }
}
