import type { DatabaseSync } from "node:sqlite"
import type { SqlRow } from "./sql-row.ts"

/** Who asked for each of `serials`, in order; `undefined` for what was not issued. */
export function findRequesters(db: DatabaseSync, serials: readonly string[]): readonly (SqlRow | undefined)[] {
  const find = db.prepare(FIND)
  return serials.map((serial) => find.get(serial))
}

const FIND = `SELECT cluster, namespace, service_account, pod, pod_uid, node, evidence_digest
FROM intent JOIN recipient ON recipient.id = intent.recipient WHERE serial = ?`
