import { IdentityError } from "../../core/errors.ts"
import type { AuthorityJournal, AuthorityRecord } from "../../ports/authority-journal.ts"
import type { AuthorityWitness } from "../../ports/authority-witness.ts"

/**
 * `journal`, with each record shown to `witness` after it is durable and before anybody hears of it. What the witness fails to write is
 * told to `failed` and written with the next record: nothing waits for it. @see STO-30
 */
export function makeWitnessedJournal(
  journal: AuthorityJournal,
  witness: AuthorityWitness,
  failed: (thrown: unknown) => void,
): AuthorityJournal {
  const show = (record: AuthorityRecord) => witness.write(record).catch(failed)
  return {
    read: () => journal.read(),
    create: async (record) => {
      await journal.create(record)
      await show(record)
    },
    replace: async (record) => {
      await journal.replace(record)
      await show(record)
    },
    adoptIssuing: (issuing) => journal.adoptIssuing(issuing),
    readIssuing: (authorityId) => journal.readIssuing(authorityId),
  }
}

/**
 * Demand that the journal is not older than what was witnessed, and show it to the witness when it is newer, as after a crash between
 * both. @throws IdentityError `not-ready`, reason `store-set-back` @see STO-31
 */
export async function demandNewest(journal: AuthorityJournal, witness: AuthorityWitness): Promise<void> {
  const record = await journal.read()
  if (record === undefined) return
  const seen = await witness.read()
  if (seen !== undefined && seen.incarnation !== record.incarnation) {
    throw setBack("the store is of another incarnation of the trust domain than the key folder")
  }
  if (seen !== undefined && seen.revision > record.revision) {
    throw setBack(`the store was set back: it is at revision ${record.revision}, and was at ${seen.revision}`)
  }
  if (seen === undefined || seen.revision < record.revision) await witness.write(record)
}

function setBack(what: string): IdentityError {
  return new IdentityError("not-ready", what, {
    reason: "store-set-back",
    next: "if it was restored on purpose, run assay restore; see spec/runbooks/restore.md",
  })
}
