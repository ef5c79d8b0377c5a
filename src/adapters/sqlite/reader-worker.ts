import type { DatabaseSync } from "node:sqlite"
import { parentPort, workerData } from "node:worker_threads"
import { toIdentityError } from "../../core/errors.ts"
import type { IssuanceQuery } from "../../ports/issuance-log.ts"
import type { ReaderReply } from "./issuance-reader.ts"
import { asNotReady, openDatabaseReader } from "./open-database.ts"
import { encodeFailure } from "./operation.ts"
import { searchIssuances } from "./search-issuances.ts"

/** The thread that searches: a long scan holds up no commit and no event loop. */
function main(): void {
  try {
    serve(openDatabaseReader(String(workerData)))
    reply({ kind: "ready" })
  } catch (error) {
    reply({ kind: "failed", failure: encodeFailure(toIdentityError(error)) })
  }
}

function serve(db: DatabaseSync): void {
  parentPort?.on("message", (query: IssuanceQuery | "close") => {
    if (query !== "close") {
      reply(answer(db, query))
      return
    }
    db.close()
    parentPort?.close()
  })
}

function answer(db: DatabaseSync, query: IssuanceQuery): ReaderReply {
  try {
    return { kind: "rows", rows: searchIssuances(db, query) }
  } catch (error) {
    return { kind: "failed", failure: encodeFailure(asNotReady(error)) }
  }
}

function reply(message: ReaderReply): void {
  parentPort?.postMessage(message)
}

main()
