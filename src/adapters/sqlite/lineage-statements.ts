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
import { LineageRows } from "./lineage-rows.ts"
import type { Pruned } from "./operation.ts"
import type { KnownRecipient } from "./recipients.ts"
import { integerOf, optionalIntegerOf, type SqlRow } from "./sql-row.ts"

/** A verdict, with the lineage that it is about and whom that belongs to. */
export interface JudgedRenewal {
  readonly verdict: LineageVerdict
  readonly lineage: Lineage | undefined
  readonly recipient: KnownRecipient
}

/** Lineages of certificates, inside a transaction that is somebody else's matter. @see LIN-03 */
export class LineageStatements {
  readonly #rows: LineageRows
  readonly #find: StatementSync
  readonly #lastOf: StatementSync
  readonly #prune: StatementSync
  /** How far the last pruning looked. */
  #pruned = 0

  constructor(db: DatabaseSync) {
    this.#rows = new LineageRows(db)
    this.#find = db.prepare(FIND)
    this.#lastOf = db.prepare(LAST_OF)
    this.#prune = db.prepare(PRUNE)
  }

  /** To be called in each transaction, first. */
  begin(): void {
    this.#rows.begin()
  }

  /** To be called in each transaction, last. */
  end(): void {
    this.#rows.write()
  }

  /** To be called when what was done may be undone. */
  undone(): void {
    this.#rows.forget()
  }

  /** What shall become of `intent`. A violation is written down, all else is not. */
  judge(intent: IntentRow, recipient: KnownRecipient, renewal: Renewal): JudgedRenewal {
    const known = this.#rows.of(recipient)
    const find = (serial: string): QuotedIssuance | undefined => parseQuoted(this.#find.get(serial), recipient)
    const verdict = judgeRenewal(known, renewal, find, keyColumns(intent).createdAt)
    const id = verdict.kind === "goes-on" ? verdict.lineage : verdict.kind === "violated" ? verdict.breaks : undefined
    const lineage = known.find((one) => one.id === id)
    if (verdict.kind === "violated" && lineage !== undefined) this.#set(recipient, { ...lineage, broken: true })
    return { verdict, lineage, recipient }
  }

  /** `intent` was recorded in row `row`, by a verdict that let it. A lineage has the number of its first intent. */
  move({ verdict, lineage, recipient }: JudgedRenewal, intent: IntentRow, renewal: Renewal, row: number): void {
    const next = nextLineage(lineage ?? { id: row, notAfter: 0 }, renewal, keyColumns(intent))
    if (lineage === undefined) this.#begin(recipient, next, verdict.kind === "begins" ? verdict.replaces : undefined)
    else this.#set(recipient, next)
  }

  /** Of the next `batch` rows, forget those that ended before `before`; of the broken ones, those that did so long before. */
  prune(before: Instant, batch: number): Pruned {
    this.#rows.write()
    const from = this.#pruned
    const next = this.#lastOf.get(from, batch)
    const to = optionalIntegerOf(next, "id") ?? from
    const more = integerOf(next, "looked") === batch
    this.#pruned = more ? to : 0
    const rows = Number(this.#prune.run(from, to, before).changes)
    if (rows > 0) this.#rows.forget()
    return { rows, more }
  }

  #begin(recipient: KnownRecipient, lineage: Lineage, replaced: number | undefined): void {
    const kept = this.#rows.of(recipient).filter(({ id }) => id !== replaced)
    this.#rows.put(recipient, [...kept, lineage])
  }

  /** In the place of the one of that number. */
  #set(recipient: KnownRecipient, lineage: Lineage): void {
    const known = this.#rows.of(recipient)
    this.#rows.put(
      recipient,
      known.map((one) => (one.id === lineage.id ? lineage : one)),
    )
  }
}

function parseQuoted(row: SqlRow | undefined, recipient: KnownRecipient): QuotedIssuance | undefined {
  if (row === undefined) return undefined
  const { podUid, spiffeId, cluster } = recipient
  const isOwn = row["pod_uid"] === podUid && row["spiffe_id"] === spiffeId && row["cluster"] === cluster
  return { isOwn, lineage: integerOf(row, "lineage") }
}

// The first of a lineage gives it its number. What was never part of one has a number that no lineage has.
const FIND = `SELECT coalesce(lineage, intent.id) AS lineage, pod_uid, spiffe_id, cluster
FROM intent JOIN recipient ON recipient.id = intent.recipient
WHERE serial = ? AND kind = 'x509'`
const LAST_OF = `SELECT max(id) AS id, count(*) AS looked
FROM (SELECT id FROM lineage WHERE id > ? ORDER BY id LIMIT ?)`
/** A broken one is kept for 90 days more, as long as the log: until then its pod stays cut off. @see LIN-04 */
const PRUNE = "DELETE FROM lineage WHERE id > ?1 AND id <= ?2 AND not_after + broken * 7776000 < ?3"
