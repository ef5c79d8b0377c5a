import type { DatabaseSync, StatementSync } from "node:sqlite"
import {
  judgeRenewal,
  type Lineage,
  type LineageVerdict,
  nextLineage,
  type QuotedIssuance,
  type Renewal,
} from "../../core/lineage/lineage.ts"
import type { Instant } from "../../core/time.ts"
import { type IntentRow, keyColumns } from "./intent-row.ts"
import type { Pruned } from "./operation.ts"
import type { KnownRecipient } from "./recipients.ts"
import { integerOf, optionalIntegerOf, type SqlRow } from "./sql-row.ts"

/** Whom a lineage belongs to: pod UID, identity, cluster. */
type Owner = readonly [string, string, string]

/** A verdict, with the row that it is about. */
export interface JudgedRenewal {
  readonly verdict: LineageVerdict
  readonly lineage: Lineage | undefined
  readonly owner: Owner
}

/** Lineages of certificates, inside a transaction that is somebody else's matter. @see LIN-03 */
export class LineageStatements {
  readonly #known: StatementSync
  readonly #find: StatementSync
  readonly #insert: StatementSync
  readonly #update: StatementSync
  readonly #break: StatementSync
  readonly #forget: StatementSync
  readonly #lastOf: StatementSync
  readonly #prune: StatementSync
  /** How far the last pruning looked. */
  #pruned = 0

  constructor(db: DatabaseSync) {
    this.#known = db.prepare(KNOWN)
    this.#known.setReturnArrays(true) // a third of the time that objects take; this is the way of every issuance
    this.#find = db.prepare(FIND)
    this.#insert = db.prepare(INSERT)
    this.#update = db.prepare(UPDATE)
    this.#break = db.prepare("UPDATE lineage SET broken = 1 WHERE id = ?")
    this.#forget = db.prepare("DELETE FROM lineage WHERE id = ?")
    this.#lastOf = db.prepare(LAST_OF)
    this.#prune = db.prepare(PRUNE)
  }

  /** What shall become of `intent`. A violation is written down, all else is not. */
  judge(intent: IntentRow, recipient: KnownRecipient, renewal: Renewal): JudgedRenewal {
    const owner = ownerOf(recipient)
    const rows: readonly unknown[] = this.#known.all(...owner)
    const known = (rows as readonly LineageRow[]).map(parseLineage) // columns of KNOWN, of a STRICT table
    const find = (serial: string): QuotedIssuance | undefined => parseQuoted(this.#find.get(serial), owner)
    const verdict = judgeRenewal(known, renewal, find, keyColumns(intent).createdAt)
    const id = verdict.kind === "goes-on" ? verdict.lineage : verdict.kind === "violated" ? verdict.breaks : undefined
    if (verdict.kind === "violated" && id !== undefined) this.#break.run(id)
    return { verdict, lineage: known.find((one) => one.id === id), owner }
  }

  /** `intent` was recorded in row `row`, by a verdict that let it. A lineage has the number of its first intent. */
  move({ verdict, lineage, owner }: JudgedRenewal, intent: IntentRow, renewal: Renewal, row: number): void {
    const columns = keyColumns(intent)
    const next = nextLineage(lineage ?? { id: row, notAfter: 0 }, renewal, columns)
    if (lineage !== undefined) {
      const { changes } = this.#update.run(next.current, next.previous, next.key, next.notAfter, next.id)
      if (changes !== 1) throw new TypeError("store: a lineage that was read is not there")
      return
    }
    if (verdict.kind === "begins" && verdict.replaces !== undefined) this.#forget.run(verdict.replaces)
    this.#insert.run(next.id, ...owner, next.current, next.previous, next.key, next.notAfter)
  }

  /** Of the next `batch` rows, forget those that ended before `before`; of the broken ones, those that did so long before. */
  prune(before: Instant, batch: number): Pruned {
    const from = this.#pruned
    const next = this.#lastOf.get(from, batch)
    const to = optionalIntegerOf(next, "id") ?? from
    const more = integerOf(next, "looked") === batch
    this.#pruned = more ? to : 0
    return { rows: Number(this.#prune.run(from, to, before).changes), more }
  }
}

function ownerOf({ podUid, spiffeId, cluster }: KnownRecipient): Owner {
  return [podUid, spiffeId, cluster]
}

type LineageRow = readonly [number, string, string, string, number, number]

function parseLineage([id, current, previous, key, notAfter, broken]: LineageRow): Lineage {
  return { id, current, previous, key, notAfter, broken: broken === 1 }
}

function parseQuoted(row: SqlRow | undefined, [podUid, spiffeId, cluster]: Owner): QuotedIssuance | undefined {
  if (row === undefined) return undefined
  const isOwn = row["pod_uid"] === podUid && row["spiffe_id"] === spiffeId && row["cluster"] === cluster
  return { isOwn, lineage: integerOf(row, "lineage") }
}

const KNOWN = `SELECT id, current, previous, key, not_after, broken FROM lineage
WHERE pod_uid = ? AND spiffe_id = ? AND cluster = ?`
// The first of a lineage gives it its number. What was never part of one has a number that no lineage has.
const FIND = `SELECT coalesce(lineage, intent.id) AS lineage, pod_uid, spiffe_id, cluster
FROM intent JOIN recipient ON recipient.id = intent.recipient
WHERE serial = ? AND kind = 'x509'`
const INSERT = `INSERT INTO lineage (id, pod_uid, spiffe_id, cluster, current, previous, key, not_after, broken)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)`
const UPDATE = "UPDATE lineage SET current = ?, previous = ?, key = ?, not_after = ? WHERE id = ?"
const LAST_OF = `SELECT max(id) AS id, count(*) AS looked
FROM (SELECT id FROM lineage WHERE id > ? ORDER BY id LIMIT ?)`
/** A broken one is kept for 90 days more, as long as the log: until then its pod stays cut off. @see LIN-04 */
const PRUNE = "DELETE FROM lineage WHERE id > ?1 AND id <= ?2 AND not_after + broken * 7776000 < ?3"
