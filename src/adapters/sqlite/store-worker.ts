import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import { toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import { CommitEngine } from "./commit-engine.ts"
import { HeldKeys } from "./held-keys.ts"
import type { Job } from "./job.ts"
import { openDatabase } from "./open-database.ts"
import { encodeFailure } from "./operation.ts"
import { OrderDesk } from "./order-desk.ts"
import { packResults, unpackJobs } from "./packed-jobs.ts"
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
  const desk = new OrderDesk(new CommitEngine(db), new HeldKeys())
  let writeBehind: NodeJS.Timeout | undefined
  parentPort?.on("message", (first: StoreRequest) => {
    clearTimeout(writeBehind)
    const { parts, closing } = gather(first)
    for (const results of desk.run(parts)) reply({ kind: "ran", results: packResults(results) })
    if (!closing) {
      if (desk.behind) writeBehind = setTimeout(() => desk.flush(), WRITE_BEHIND)
      return
    }
    desk.flush()
    db.close()
    parentPort?.close()
  })
  reply({ kind: "ready" })
}

/** All that has arrived by now is one group, up to a bound: the jobs of each message. */
function gather(first: StoreRequest): { readonly parts: readonly (readonly Job[])[]; readonly closing: boolean } {
  const parts: (readonly Job[])[] = []
  let count = 0
  let request: StoreRequest | undefined = first
  while (request !== undefined) {
    if (request.kind === "close") return { parts, closing: true }
    const jobs = unpackJobs(request.jobs)
    parts.push(jobs)
    count += jobs.length
    request = count < MAX_GROUP ? nextRequest() : undefined
  }
  return { parts, closing: false }
}

function nextRequest(): StoreRequest | undefined {
  return parentPort === null ? undefined : receiveMessageOnPort(parentPort)?.message
}

function reply(message: StoreReply): void {
  parentPort?.postMessage(message)
}

const MAX_GROUP = 256
const WRITE_BEHIND: Millis = 50

main()
