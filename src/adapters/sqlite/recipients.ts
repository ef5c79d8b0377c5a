import type { DatabaseSync, StatementSync } from "node:sqlite"
import type { Intent } from "../../ports/issuance-log.ts"
import { integerOf } from "./sql-row.ts"

/** What is the same in all intents of one recipient, and what others than the log look at. */
export interface KnownRecipient {
  /** Its row. */
  readonly id: number
  readonly spiffeId: string
  readonly cluster: string
  readonly podUid: string
  /** The three above in one text: the same for all recipients that are one pod with one identity. */
  readonly owner: string
}

/** Columns of `recipient`, in the order in which {@link encodeRecipient} has them. */
export const RECIPIENT_COLUMNS = "spiffe_id, hint, rule, cluster, namespace, service_account, pod, pod_uid, node"

/** Who asks and what for, in one text: one value that travels and is looked up, in place of nine. */
export function encodeRecipient({ spiffeId, hint, rule, requester }: Intent): string {
  const { cluster, namespace, serviceAccount, pod, podUid, node } = requester
  return JSON.stringify([spiffeId, hint, rule, cluster, namespace, serviceAccount, pod, podUid, node])
}

/**
 * The rows that intents point to, inside a transaction that is somebody else's matter. Those of the newest recipients are kept in
 * memory, so that a renewal does not even look; one that was forgotten is looked for by its pod before it gets a row.
 * @see STO-19
 */
export class Recipients {
  readonly #find: StatementSync
  readonly #insert: StatementSync
  readonly #prune: StatementSync
  readonly #known = new Map<string, KnownRecipient>()

  constructor(db: DatabaseSync) {
    this.#find = db.prepare(FIND)
    this.#insert = db.prepare(INSERT)
    this.#prune = db.prepare(PRUNE)
  }

  /** @param text what {@link encodeRecipient} made */
  find(text: string): KnownRecipient {
    return this.#known.get(text) ?? this.#add(text)
  }

  /** Remove those of `ids` that no intent points to any more. */
  prune(ids: ReadonlySet<number>): void {
    const removed = new Set([...ids].filter((id) => this.#prune.run(id).changes > 0))
    if (removed.size === 0) return
    for (const [text, { id }] of this.#known) if (removed.has(id)) this.#known.delete(text)
  }

  /** Rows that were added may be gone: their transaction was rolled back. */
  forget(): void {
    this.#known.clear()
  }

  #add(text: string): KnownRecipient {
    const columns = JSON.parse(text) as readonly string[] // as encodeRecipient made it
    const [spiffeId = "", , , cluster = "", , , , podUid = ""] = columns
    const found = this.#find.get(...columns)
    const id = found === undefined ? Number(this.#insert.run(...columns).lastInsertRowid) : integerOf(found, "id")
    const added = { id, spiffeId, cluster, podUid, owner: JSON.stringify([cluster, podUid, spiffeId]) }
    this.#known.set(text, added)
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value ?? text)
    return added
  }
}

/** By the index of pods; of a name that many pods had one after the other, the newest is looked at first. */
const FIND = `SELECT id FROM recipient
WHERE (${RECIPIENT_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?) ORDER BY id DESC LIMIT 1`
const INSERT = `INSERT INTO recipient (${RECIPIENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
const PRUNE = "DELETE FROM recipient WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM intent WHERE recipient = ?1)"
/** Some 20 MB when there are so many. */
const MAX_KNOWN = 32_768
