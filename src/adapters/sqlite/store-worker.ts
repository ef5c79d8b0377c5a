import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import { toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import { CommitEngine } from "./commit-engine.ts"
import { HeldKeys } from "./held-keys.ts"
import type { JobResult } from "./job.ts"
import { openDatabase } from "./open-database.ts"
import { encodeFailure } from "./operation.ts"
import { OrderDesk } from "./order-desk.ts"
import { packResults, unpackJobs } from "./packed-jobs.ts"
import { SigningThread } from "./signing-thread.ts"
import { StorePlace } from "./store-place.ts"
import type { StoreReply, StoreRequest, StoreWorkerData } from "./store-thread.ts"

/** The thread that owns the connection which writes, and the keys that sign what it wrote: an fsync blocks it and nobody else. */
function main(): void {
  const { path, mode } = workerData as StoreWorkerData // only StoreThread starts this file
  try {
    serve(path, mode)
  } catch (error) {
    reply({ kind: "unusable", failure: encodeFailure(toIdentityError(error)) })
  }
}

function serve(path: string, mode: StoreWorkerData["mode"]): void {
  const db = openDatabase(path, mode)
  const second = new SigningThread()
  const place = new StorePlace(path)
  const desk = new OrderDesk(new CommitEngine(db, () => place.demand()), new HeldKeys(), second)
  let writeBehind: NodeJS.Timeout | undefined
  const cease = (): void => {
    clearTimeout(writeBehind)
    writeBehind = undefined
  }
  const flush = (): void => {
    cease()
    desk.flush()
  }
  const answer = (id: number, results: readonly JobResult[]): void => {
    reply({ kind: "ran", id, results: packResults(results) })
    if (desk.behind) writeBehind ??= setTimeout(flush, WRITE_BEHIND)
  }
  parentPort?.on("message", (first: StoreRequest) => {
    cease()
    const { asked, closing } = gather(first)
    desk.run(asked.map(({ id, jobs }) => ({ jobs: unpackJobs(jobs), answer: (results) => answer(id, results) })))
    if (!closing) return
    second.end()
    flush()
    db.close()
    parentPort?.close()
  })
  reply({ kind: "ready" })
}

/** All that has arrived by now is one group, up to a bound. */
function gather(first: StoreRequest): { readonly asked: readonly Asked[]; readonly closing: boolean } {
  const asked: Asked[] = []
  let count = 0
  let request: StoreRequest | undefined = first
  while (request !== undefined) {
    if (request.kind === "close") return { asked, closing: true }
    asked.push(request)
    count += request.count
    request = count < MAX_GROUP ? nextRequest() : undefined
  }
  return { asked, closing: false }
}

function nextRequest(): StoreRequest | undefined {
  return parentPort === null ? undefined : receiveMessageOnPort(parentPort)?.message
}

function reply(message: StoreReply): void {
  parentPort?.postMessage(message)
}

type Asked = Extract<StoreRequest, { readonly kind: "run" }>

const MAX_GROUP = 256
const WRITE_BEHIND: Millis = 50

main()
