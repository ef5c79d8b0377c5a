import type { DatabaseSync, StatementSync } from "node:sqlite"
import { CONSUMER_COLUMNS } from "./consumer-row.ts"
import type { Operation, OperationResult } from "./operation.ts"

export type ConsumerOperation = Extract<Operation, { readonly kind: "write-consumers" | "read-consumers" }>

/** The consumers of bundles, inside a transaction that is somebody else's matter. */
export class ConsumerStatements {
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #read: StatementSync

  constructor(db: DatabaseSync) {
    this.#put = db.prepare(PUT)
    this.#remove = db.prepare("DELETE FROM consumer WHERE id = ?")
    this.#read = db.prepare(`SELECT ${CONSUMER_COLUMNS} FROM consumer WHERE id > ? ORDER BY id LIMIT ?`)
  }

  run(operation: ConsumerOperation): OperationResult {
    if (operation.kind === "read-consumers") {
      return { kind: "rows", rows: this.#read.all(operation.after, operation.limit) }
    }
    for (const id of operation.removed) this.#remove.run(id)
    for (const row of operation.rows) this.#put.run(...row)
    return { kind: "done" }
  }
}

const PUT = `INSERT OR REPLACE INTO consumer (${CONSUMER_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
