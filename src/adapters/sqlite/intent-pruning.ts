import type { DatabaseSync, StatementSync } from "node:sqlite"
import type { Instant } from "../../core/time.ts"
import type { OperationResult } from "./operation.ts"
import type { Recipients } from "./recipients.ts"
import { integerOf } from "./sql-row.ts"

/** Forgets intents of long ago, inside a transaction that is somebody else's matter. */
export class IntentPruning {
  readonly #recipients: Recipients
  readonly #look: StatementSync
  readonly #removeOutcome: StatementSync
  readonly #removeIntent: StatementSync
  /** When the last one that was looked at was created, and its row. */
  #reached: readonly [Instant, number] = BEGINNING

  constructor(db: DatabaseSync, recipients: Recipients) {
    this.#recipients = recipients
    this.#look = db.prepare(LOOK)
    this.#removeOutcome = db.prepare("DELETE FROM outcome WHERE intent_id = ?")
    this.#removeIntent = db.prepare("DELETE FROM intent WHERE id = ?")
  }

  /**
   * Of the next `batch` rows, forget those that expired before `before`. What is long-lived stands in front of what is not, so
   * that to begin anew each time would be to look at all that has not expired. @see STO-18
   */
  run(before: Instant, batch: number): OperationResult {
    const looked = this.#look.all(...this.#reached, before, batch)
    const last = looked.at(-1)
    const more = last !== undefined && looked.length === batch
    this.#reached = more ? [integerOf(last, "created_at"), integerOf(last, "id")] : BEGINNING
    const expired = looked.filter((row) => integerOf(row, "not_after") < before)
    for (const row of expired) this.#remove(integerOf(row, "id"))
    this.#recipients.prune(new Set(expired.map((row) => integerOf(row, "recipient"))))
    return { kind: "pruned", rows: expired.length, more }
  }

  #remove(id: number): void {
    this.#removeOutcome.run(id)
    this.#removeIntent.run(id)
  }
}

const BEGINNING = [0, 0] as const
// What expired was created before, so this ends where the creation times do; an index of its own would cost each intent.
const LOOK = `SELECT id, created_at, not_after, recipient FROM intent
WHERE (created_at, id) > (?, ?) AND created_at < ? ORDER BY created_at, id LIMIT ?`
