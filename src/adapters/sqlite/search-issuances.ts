import type { DatabaseSync, SQLInputValue } from "node:sqlite"
import { IdentityError } from "../../core/errors.ts"
import type { IssuanceQuery } from "../../ports/issuance-log.ts"
import { ISSUANCE_COLUMNS } from "./intent-row.ts"
import { integerOf, optionalIntegerOf, type SqlRow } from "./sql-row.ts"

/**
 * Rows of intents with `signature`, newest first. The text of a statement is made of constants only. A search for recipients goes
 * by them. Where they are many, such as those of a namespace, the newest intents are looked at first, which mostly is enough: an
 * order by age over the intents of all of them would be made of every one.
 */
export function searchIssuances(db: DatabaseSync, query: IssuanceQuery): readonly SqlRow[] {
  demandLimit(query.limit, MAX_ISSUANCES)
  const search: Search = { db, who: given(query, OF_RECIPIENT), what: given(query, OF_INTENT), limit: query.limit }
  if (search.who.conditions.length === 0 || query.serial !== undefined) return ofLog(search, 0)
  if (!areMany(search)) return ofRecipients(search, Number.MAX_SAFE_INTEGER)
  const newest = optionalIntegerOf(db.prepare(NEWEST).get(), "id") ?? 0
  const found = ofLog(search, newest - LOOK_BACK)
  if (found.length === search.limit) return found
  return [...found, ...ofRecipients({ ...search, limit: search.limit - found.length }, newest - LOOK_BACK)]
}

/** @throws IdentityError `malformed` */
export function demandLimit(limit: number, most: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > most) {
    throw new IdentityError("malformed", `limit is not 1 to ${most}`)
  }
}

interface Search {
  readonly db: DatabaseSync
  readonly who: Given
  readonly what: Given
  readonly limit: number
}

interface Given {
  readonly conditions: readonly string[]
  readonly values: readonly SQLInputValue[]
}

function given(query: IssuanceQuery, table: readonly (readonly [keyof IssuanceQuery, string])[]): Given {
  const found = table.flatMap(([field, condition]) => {
    const value = query[field]
    return value === undefined ? [] : [{ condition, value }]
  })
  return { conditions: found.map(({ condition }) => condition), values: found.map(({ value }) => value) }
}

function areMany({ db, who }: Search): boolean {
  const sql = `SELECT count(*) AS found FROM (SELECT 1 FROM recipient WHERE ${who.conditions.join(" AND ")} LIMIT ?)`
  return integerOf(db.prepare(sql).get(...who.values, FEW + 1), "found") > FEW
}

/** One intent after another, those that came after the one with the number `after`. */
function ofLog({ db, who, what, limit }: Search, after: number): readonly SqlRow[] {
  const where = ["intent.id > ?", ...what.conditions, ...who.conditions].join(" AND ")
  return db.prepare(`${LOG} WHERE ${where} ${NEWEST_FIRST}`).all(after, ...what.values, ...who.values, limit)
}

/** The newest of each recipient, as many as are wanted, of those up to the one with the number `last`. */
function ofRecipients({ db, who, what, limit }: Search, last: number): readonly SqlRow[] {
  const own = ["recipient = found.id", "id <= ?", ...what.conditions].join(" AND ")
  const sql = `WITH candidate (id) AS MATERIALIZED (
  SELECT intent.id FROM recipient AS found
  CROSS JOIN intent ON intent.id IN (SELECT id FROM intent WHERE ${own} ORDER BY id DESC LIMIT ?)
  WHERE ${who.conditions.join(" AND ")} ORDER BY intent.id DESC LIMIT ?
)
SELECT ${ISSUANCE_COLUMNS}, signature FROM candidate CROSS JOIN intent USING (id) ${REST} ${NEWEST_FIRST}`
  return db.prepare(sql).all(last, ...what.values, limit, ...who.values, limit, limit)
}

const OF_RECIPIENT = [
  ["spiffeId", "spiffe_id = ?"],
  ["cluster", "cluster = ?"],
  ["namespace", "namespace = ?"],
  ["pod", "pod = ?"],
  ["podUid", "pod_uid = ?"],
] as const
const OF_INTENT = [
  ["serial", "serial = ?"],
  ["kind", "kind = ?"],
  ["since", "created_at >= ?"],
  ["unexpiredAt", "not_after > ?"],
] as const
const NEWEST = "SELECT max(id) AS id FROM intent"
const REST = "CROSS JOIN recipient ON recipient.id = intent.recipient LEFT JOIN outcome ON intent_id = intent.id"
const LOG = `SELECT ${ISSUANCE_COLUMNS}, signature FROM intent ${REST}`
const NEWEST_FIRST = "ORDER BY intent.id DESC LIMIT ?"
/** A page of 1000, and one more. */
export const MAX_ISSUANCES = 1001
/** Recipients of which the newest intents are put in order. */
const FEW = 1000
/** Some tenths of a second. */
const LOOK_BACK = 20_000
