import type { DatabaseSync, StatementSync } from "node:sqlite"
import type { Operation, OperationResult } from "./operation.ts"

export type FederatedOperation = Extract<
  Operation,
  { readonly kind: "keep-federated" | "forget-federated" | "read-federated" }
>

/** The last good bundles of other trust domains, inside a transaction that is somebody else's matter. */
export class FederatedStatements {
  readonly #keep: StatementSync
  readonly #forget: StatementSync
  readonly #read: StatementSync

  constructor(db: DatabaseSync) {
    this.#keep = db.prepare(`INSERT OR REPLACE INTO federated_bundle (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`)
    this.#forget = db.prepare("DELETE FROM federated_bundle WHERE trust_domain = ?")
    this.#read = db.prepare(READ_FEDERATED)
  }

  run(operation: FederatedOperation): OperationResult {
    switch (operation.kind) {
      case "keep-federated":
        this.#keep.run(...operation.row)
        return DONE
      case "forget-federated":
        this.#forget.run(operation.trustDomain)
        return DONE
      case "read-federated":
        return { kind: "rows", rows: this.#read.all() }
      default:
        return operation satisfies never
    }
  }
}

const DONE: OperationResult = { kind: "done" }
const COLUMNS = "trust_domain, incarnation, sequence, refresh_hint, authorities, accepted_at"
/** Rows for {@link parseKept}. */
export const READ_FEDERATED = `SELECT ${COLUMNS} FROM federated_bundle ORDER BY trust_domain`
