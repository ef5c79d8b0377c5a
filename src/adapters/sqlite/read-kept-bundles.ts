import type { KeptBundle } from "../../ports/federated-bundles.ts"
import { READ_FEDERATED } from "./federated-statements.ts"
import { asNotReady, openDatabaseReader } from "./open-database.ts"
import { parseKept } from "./sqlite-federated-bundles.ts"

/**
 * The bundles of other trust domains that a store keeps, read without bringing it up to date: of one from before they were kept, none. Blocks
 * the thread. @throws IdentityError `not-found` when there is no store at `path`, `not-ready`
 */
export function readKeptBundles(path: string): readonly KeptBundle[] {
  using db = openDatabaseReader(path)
  try {
    const table = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'federated_bundle'").get()
    return table === undefined ? [] : db.prepare(READ_FEDERATED).all().map(parseKept)
  } catch (error) {
    throw asNotReady(error)
  }
}
