import { IdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import type { AuthorityJournal, AuthorityRecord } from "../../ports/authority-journal.ts"
import type { AuthorityWitness } from "../../ports/authority-witness.ts"
import type { Clock } from "../../ports/clock.ts"
import { withDeadline } from "../attest/with-deadline.ts"

/**
 * `journal`, with each record shown to `witness` after it is durable and before anybody hears of it. What the witness fails to write, or does
 * not within {@link PATIENCE}, is told to `failed` and written with the next record: nothing waits for it, an emergency least of all. None is
 * begun while another hangs. @see STO-30
 */
export function makeWitnessedJournal(
  journal: AuthorityJournal,
  witness: AuthorityWitness,
  failed: (thrown: unknown) => void,
  clock: Pick<Clock, "sleep">,
): AuthorityJournal {
  let isWriting = false
  const write = async (record: AuthorityRecord) => {
    if (isWriting) throw new IdentityError("not-ready", "the key folder hangs", { reason: "witness-unwritten" })
    isWriting = true
    await witness.write(record).finally(() => (isWriting = false))
  }
  const show = (record: AuthorityRecord) => withDeadline(clock, PATIENCE, NEVER, () => write(record)).catch(failed)
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

const NEVER = new AbortController().signal
/** Longer than a disk that is well ever takes. */
const PATIENCE: Millis = 5000
