import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import { parseAuthority } from "./authority-json.ts"
import { asNotReady, openDatabaseReader } from "./open-database.ts"
import { textOf } from "./sql-row.ts"

/**
 * What the journal holds, read beside a server that writes it; `undefined` while there is no trust domain. Blocks the thread.
 * @throws IdentityError `not-found` when there is no store at `path`, `not-ready`
 */
export function readAuthority(path: string): AuthorityRecord | undefined {
  using db = openDatabaseReader(path)
  try {
    const row = db.prepare("SELECT record FROM authority WHERE id = 1").get()
    return row === undefined ? undefined : parseAuthority(textOf(row, "record"))
  } catch (error) {
    throw asNotReady(error)
  }
}
