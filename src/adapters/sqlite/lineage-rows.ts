import type { DatabaseSync, StatementSync } from "node:sqlite"
import type { Lineage } from "../../core/lineage/lineage.ts"
import type { KnownRecipient } from "./recipients.ts"

/** The lineages of one pod for one identity: as the transaction has them, and as the table does. */
interface Owned {
  readonly recipient: KnownRecipient
  now: readonly Lineage[]
  written: readonly Lineage[]
}

/**
 * The table of lineages inside a transaction that is somebody else's matter. Those of the newest owners are kept in memory, and what moved is
 * written once for each transaction, however often it moved: certificates of one pod that come together cost one row, not one each.
 * @see LIN-13
 */
export class LineageRows {
  readonly #find: StatementSync
  readonly #insert: StatementSync
  readonly #update: StatementSync
  readonly #remove: StatementSync
  readonly #version: StatementSync
  readonly #known = new Map<string, Owned>()
  readonly #moved = new Set<Owned>()
  #seen: unknown

  constructor(db: DatabaseSync) {
    this.#find = db.prepare(FIND)
    this.#find.setReturnArrays(true) // a third of the time that objects take
    this.#insert = db.prepare(INSERT)
    this.#update = db.prepare(UPDATE)
    this.#remove = db.prepare("DELETE FROM lineage WHERE id = ?")
    this.#version = db.prepare("PRAGMA data_version")
  }

  /** To be called in each transaction, first: what another connection wrote since may be what is in memory here. */
  begin(): void {
    const version = this.#version.get()?.["data_version"]
    if (version !== this.#seen) this.forget()
    this.#seen = version
  }

  /** The oldest first. */
  of(recipient: KnownRecipient): readonly Lineage[] {
    return this.#owned(recipient).now
  }

  /** From here on `recipient` has these; on the disk with the next {@link write}. */
  put(recipient: KnownRecipient, lineages: readonly Lineage[]): void {
    const owned = this.#owned(recipient)
    owned.now = lineages
    this.#moved.add(owned)
  }

  /** To be called before the commit, and before others look at the table. */
  write(): void {
    for (const owned of this.#moved) this.#writeOne(owned)
    this.#moved.clear()
    for (const key of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) return
      this.#known.delete(key)
    }
  }

  /** What is in memory may not be what the table has. */
  forget(): void {
    this.#known.clear()
    this.#moved.clear()
  }

  #owned(recipient: KnownRecipient): Owned {
    const known = this.#known.get(recipient.owner)
    if (known !== undefined) return known
    const rows: readonly unknown[] = this.#find.all(...ownerOf(recipient))
    const written = (rows as readonly LineageRow[]).map(parseLineage) // columns of FIND, of a STRICT table
    const owned: Owned = { recipient, now: written, written }
    this.#known.set(recipient.owner, owned)
    return owned
  }

  #writeOne(owned: Owned): void {
    const { recipient, now, written } = owned
    for (const { id } of written) if (!now.some((one) => one.id === id)) this.#remove.run(id)
    for (const one of now) {
      const before = written.find(({ id }) => id === one.id)
      if (before === undefined) this.#insert.run(one.id, ...ownerOf(recipient), ...columnsOf(one))
      else if (before !== one) this.#replace(one)
    }
    owned.written = now
  }

  #replace(one: Lineage): void {
    const { changes } = this.#update.run(...columnsOf(one), one.id)
    if (changes !== 1) throw new TypeError("store: a lineage that was read is not there")
  }
}

function ownerOf({ podUid, spiffeId, cluster }: KnownRecipient): readonly [string, string, string] {
  return [podUid, spiffeId, cluster]
}

type LineageRow = readonly [number, string, string, string, number, number]

function parseLineage([id, current, previous, key, notAfter, broken]: LineageRow): Lineage {
  return { id, current, previous, key, notAfter, broken: broken === 1 }
}

function columnsOf({
  current,
  previous,
  key,
  notAfter,
  broken,
}: Lineage): readonly [string, string, string, number, number] {
  return [current, previous, key, notAfter, broken ? 1 : 0]
}

const FIND = `SELECT id, current, previous, key, not_after, broken FROM lineage
WHERE pod_uid = ? AND spiffe_id = ? AND cluster = ? ORDER BY id`
const INSERT = `INSERT INTO lineage (id, pod_uid, spiffe_id, cluster, current, previous, key, not_after, broken)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
const UPDATE = "UPDATE lineage SET current = ?, previous = ?, key = ?, not_after = ?, broken = ? WHERE id = ?"
/** Owners; some 3 MB when each has the few lineages that pods have. */
const MAX_KNOWN = 4096
