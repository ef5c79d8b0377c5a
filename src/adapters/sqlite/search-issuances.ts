import type { DatabaseSync, SQLInputValue } from "node:sqlite"
import { IdentityError } from "../../core/errors.ts"
import type { IssuanceQuery } from "../../ports/issuance-log.ts"
import { ISSUANCE_COLUMNS, ISSUANCES } from "./intent-row.ts"
import type { SqlRow } from "./sql-row.ts"

/** Rows of intents with `signature`, newest first. The text of the query is made of constants only. */
export function searchIssuances(db: DatabaseSync, query: IssuanceQuery): readonly SqlRow[] {
  demandLimit(query.limit, MAX_ISSUANCES)
  const { conditions, values } = conditionsOf(query)
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`
  return db.prepare(`${SELECT} ${where} ORDER BY intent.id DESC LIMIT ?`).all(...values, query.limit)
}

/** @throws IdentityError `malformed` */
export function demandLimit(limit: number, most: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > most) {
    throw new IdentityError("malformed", `limit is not 1 to ${most}`)
  }
}

function conditionsOf(query: IssuanceQuery): {
  readonly conditions: readonly string[]
  readonly values: readonly SQLInputValue[]
} {
  const given = CONDITIONS.flatMap(([field, condition]) => {
    const value = query[field]
    return value === undefined ? [] : [{ condition, value }]
  })
  return { conditions: given.map((g) => g.condition), values: given.map((g) => g.value) }
}

const CONDITIONS = [
  ["serial", "serial = ?"],
  ["spiffeId", "spiffe_id = ?"],
  ["cluster", "cluster = ?"],
  ["namespace", "namespace = ?"],
  ["pod", "pod = ?"],
  ["podUid", "pod_uid = ?"],
  ["kind", "kind = ?"],
  ["since", "created_at >= ?"],
  ["unexpiredAt", "not_after > ?"],
] as const
const SELECT = `SELECT ${ISSUANCE_COLUMNS}, signature FROM ${ISSUANCES} LEFT JOIN outcome ON intent_id = intent.id`
/** A page of 1000, and one more. */
export const MAX_ISSUANCES = 1001
