import type { DatabaseSync, StatementSync } from "node:sqlite"
import { integerOf } from "./sql-row.ts"

/**
 * The epochs below which nothing may be signed, inside a transaction that is somebody else's matter. The record is looked into when its
 * revision has changed; else a transaction costs one look-up of a number. @see ROT-76
 */
export class EmergencyEpochs {
  readonly #readRevision: StatementSync
  readonly #readEpochs: StatementSync
  /** In this transaction they are known. */
  #isFresh = false
  #known = NONE

  constructor(db: DatabaseSync) {
    this.#readRevision = db.prepare("SELECT revision FROM authority WHERE id = 1")
    this.#readEpochs = db.prepare(READ_EPOCHS)
  }

  /** To be called in each transaction, first, and after the record was written. */
  begin(): void {
    this.#isFresh = false
  }

  /** To be called when what was run may be undone: another record may get the revision that this one had. */
  undone(): void {
    this.#known = NONE
  }

  /** 0: there was no emergency of that kind. */
  of(kind: "x509" | "jwt"): number {
    if (!this.#isFresh) this.#read()
    return this.#known[kind]
  }

  #read(): void {
    this.#isFresh = true
    const row = this.#readRevision.get()
    const revision = row === undefined ? 0 : integerOf(row, "revision")
    if (revision === this.#known.revision) return
    const epochs = this.#readEpochs.get()
    this.#known = { revision, x509: integerOf(epochs, "x509"), jwt: integerOf(epochs, "jwt") }
  }
}

/** A store that was never initialised has no record, whose revisions begin with 1. */
const NONE = { revision: 0, x509: 0, jwt: 0 }
const READ_EPOCHS = `SELECT coalesce(record ->> '$.emergencyEpochs.x509', 0) AS x509,
coalesce(record ->> '$.emergencyEpochs.jwt', 0) AS jwt FROM authority WHERE id = 1`
