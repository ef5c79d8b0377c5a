import { IdentityError } from "../../core/errors.ts"
import type { AuthorityJournal, AuthorityRecord, IssuingRecord } from "../../ports/authority-journal.ts"
import type { FaultyWrite } from "./memory-store.ts"

/** @see MemoryStore */
export class MemoryAuthorityJournal implements AuthorityJournal {
  #record: AuthorityRecord | undefined
  readonly #issuing = new Map<string, IssuingRecord>()
  readonly #faulty: FaultyWrite

  constructor(faulty: FaultyWrite) {
    this.#faulty = faulty
  }

  async read(): Promise<AuthorityRecord | undefined> {
    return this.#record
  }

  /** @see ROT-76 */
  get emergencyEpochs(): AuthorityRecord["emergencyEpochs"] {
    return this.#record?.emergencyEpochs
  }

  async create(record: AuthorityRecord): Promise<void> {
    if (this.#record !== undefined) throw new IdentityError("already-exists", "trust domain was initialised before")
    this.#faulty("authority", () => {
      this.#record = record
    })
  }

  async replace(record: AuthorityRecord): Promise<void> {
    if (this.#record?.revision !== record.revision - 1) {
      throw new IdentityError("conflict", "authority record was changed by another writer")
    }
    this.#faulty("authority", () => {
      this.#record = record
    })
  }

  async adoptIssuing(issuing: IssuingRecord): Promise<void> {
    if (this.#issuing.has(issuing.authorityId)) {
      throw new IdentityError("already-exists", "issuing authority was adopted before")
    }
    this.#faulty("issuing", () => this.#issuing.set(issuing.authorityId, issuing))
  }

  async readIssuing(authorityId: string): Promise<IssuingRecord> {
    const issuing = this.#issuing.get(authorityId)
    if (issuing === undefined) throw new IdentityError("not-found", "no such issuing authority")
    return issuing
  }
}
