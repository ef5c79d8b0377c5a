import type { DatabaseSync } from "node:sqlite"
import { MAX_REUSE } from "../../ports/issuance-log.ts"
import { bytesOf, integerOf } from "./sql-row.ts"

/**
 * The newest idempotency keys and the intents they stand in. Kept in memory, since an index of random keys costs each intent
 * two pages of log; read from the store when it is opened: those of the last minute of the log, since no request asks for older ones,
 * and a log of tokens would be read from end to end for as many keys as fit. Bounded: the oldest is forgotten first. @see STO-25
 */
export class RecentKeys {
  readonly #ids = new Map<string, number>()

  constructor(db: DatabaseSync) {
    const newest = db.prepare(NEWEST).all(MAX_REUSE, MAX_KEYS)
    for (const row of newest.reverse()) this.add(bytesOf(row, "idempotency_key"), integerOf(row, "id"))
  }

  add(key: Uint8Array, id: number | bigint): void {
    const name = nameOf(key)
    this.#ids.delete(name)
    this.#ids.set(name, Number(id))
    if (this.#ids.size <= MAX_KEYS) return
    const [oldest] = this.#ids.keys()
    if (oldest !== undefined) this.#ids.delete(oldest)
  }

  find(key: Uint8Array): number | undefined {
    return this.#ids.get(nameOf(key))
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1")
}

const NEWEST = `SELECT id, idempotency_key FROM intent
WHERE created_at >= (SELECT max(created_at) FROM intent) - ? AND idempotency_key IS NOT NULL
ORDER BY created_at DESC, id DESC LIMIT ?`
/** A minute of a thousand certificates a second. */
const MAX_KEYS = 65_536
