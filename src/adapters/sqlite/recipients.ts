import type { DatabaseSync, StatementSync } from "node:sqlite"
import type { Intent } from "../../ports/issuance-log.ts"

/** What is the same in all intents of one recipient, and what others than the log look at. */
export interface KnownRecipient {
  /** Its row. */
  readonly id: number
  readonly spiffeId: string
  readonly cluster: string
  readonly podUid: string
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
 * memory, so that a renewal writes nothing here. One that was forgotten gets another row, which says the same.
 */
export class Recipients {
  readonly #insert: StatementSync
  readonly #prune: StatementSync
  readonly #known = new Map<string, KnownRecipient>()

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare(INSERT)
    this.#prune = db.prepare(PRUNE)
  }

  /** @param text what {@link encodeRecipient} made */
  find(text: string): KnownRecipient {
    return this.#known.get(text) ?? this.#add(text)
  }

  /** Remove those of `ids` that no intent points to any more. */
  prune(ids: ReadonlySet<number>): void {
    let removed = 0
    for (const id of ids) removed += Number(this.#prune.run(id).changes)
    if (removed > 0) this.forget()
  }

  /** Rows that were added may be gone: their transaction was rolled back. */
  forget(): void {
    this.#known.clear()
  }

  #add(text: string): KnownRecipient {
    const columns = JSON.parse(text) as readonly string[] // as encodeRecipient made it
    const [spiffeId = "", , , cluster = "", , , , podUid = ""] = columns
    const id = Number(this.#insert.run(...columns).lastInsertRowid)
    const added = { id, spiffeId, cluster, podUid }
    this.#known.set(text, added)
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value ?? text)
    return added
  }
}

const INSERT = `INSERT INTO recipient (${RECIPIENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
const PRUNE = "DELETE FROM recipient WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM intent WHERE recipient = ?1)"
/** Some 20 MB when there are so many. */
const MAX_KNOWN = 32_768
