import type { DatabaseSync } from "node:sqlite"
import { parentPort, workerData } from "node:worker_threads"
import { toIdentityError } from "../../core/errors.ts"
import { countHolders } from "./count-holders.ts"
import { findRequesters } from "./find-requesters.ts"
import type { ReaderReply, ReaderRequest } from "./issuance-reader.ts"
import { asNotReady, openDatabaseReader } from "./open-database.ts"
import { encodeFailure } from "./operation.ts"
import { readCertificates } from "./read-certificates.ts"
import { readHoldingRows } from "./read-holdings.ts"
import { readKeyHolderRows } from "./read-key-holders.ts"
import { sendParts } from "./row-parts.ts"
import { searchAudit } from "./search-audit.ts"
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
  parentPort?.on("message", (request: ReaderRequest) => {
    if (request.kind !== "close") {
      reply(answer(db, request))
      return
    }
    db.close()
    parentPort?.close()
  })
}

function answer(db: DatabaseSync, request: Exclude<ReaderRequest, { kind: "close" }>): ReaderReply {
  try {
    if (request.kind === "holdings") {
      const { held, tokens } = readHoldingRows(db, request.now)
      return { kind: "holdings", held: sendParts(held), tokens }
    }
    if (request.kind === "certificates") return { kind: "certificates", held: readCertificates(db, request.asked) }
    if (request.kind === "key-holders") return { kind: "rows", rows: readKeyHolderRows(db, request.keys, request.now) }
    if (request.kind === "count-holders")
      return { kind: "count-holders", count: countHolders(db, request.target, request.now) }
    if (request.kind === "requesters") return { kind: "requesters", rows: findRequesters(db, request.serials) }
    if (request.kind === "audit") return { kind: "audit", found: searchAudit(db, request.query) }
    return { kind: "rows", rows: searchIssuances(db, request.query) }
  } catch (error) {
    return { kind: "failed", failure: encodeFailure(asNotReady(error)) }
  }
}

function reply(message: ReaderReply): void {
  parentPort?.postMessage(message, message.kind === "holdings" ? [message.held.port] : [])
}

main()
