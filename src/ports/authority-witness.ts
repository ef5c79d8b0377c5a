import type { AuthorityRecord } from "./authority-journal.ts"

/**
 * A copy of the newest authority record, kept apart from the store that it stands in: beside the keys. It shows that a store was set
 * back, and a store that is lost is made again from it. Trusting it means: whoever can write it can keep the server from starting.
 */
export interface AuthorityWitness {
  /** `undefined`: nothing was witnessed yet. @throws IdentityError `not-ready`, reason `witness-damaged`, when it is not as it was written */
  read(): Promise<AuthorityRecord | undefined>
  /** Durable when it resolves; after a crash in between it is the one before. @throws IdentityError `not-ready` */
  write(record: AuthorityRecord): Promise<void>
}
