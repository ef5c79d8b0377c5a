import { parentPort, workerData } from "node:worker_threads"
import { toIdentityError } from "../../core/errors.ts"
import { CommitEngine } from "./commit-engine.ts"
import { openDatabase } from "./open-database.ts"
import { encodeFailure } from "./operation.ts"
import type { StoreReply, StoreRequest, StoreWorkerData } from "./store-thread.ts"

/** The thread that owns the connection which writes: an fsync blocks it and nobody else. */
function main(): void {
  const { path, mode } = workerData as StoreWorkerData // only startStoreThread starts this file
  try {
    serve(path, mode)
  } catch (error) {
    reply({ kind: "unusable", failure: encodeFailure(toIdentityError(error)) })
  }
}

function serve(path: string, mode: StoreWorkerData["mode"]): void {
  const db = openDatabase(path, mode)
  const engine = new CommitEngine(db)
  parentPort?.on("message", (request: StoreRequest) => {
    if (request.kind === "run") {
      reply({ kind: "ran", results: engine.run(request.group) })
      return
    }
    db.close()
    parentPort?.close()
  })
  reply({ kind: "ready" })
}

function reply(message: StoreReply): void {
  parentPort?.postMessage(message)
}

main()
