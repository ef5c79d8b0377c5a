import type { DatabaseSync } from "node:sqlite"
import type { HoldingsReader, KeyHolderReader } from "../../ports/consumers.ts"
import { asNotReady, openDatabaseReader } from "./open-database.ts"
import { parseHoldings, readHoldingRows } from "./read-holdings.ts"
import { parseKeyHolder, readKeyHolderRows } from "./read-key-holders.ts"

/**
 * Reads the store at `path` on this very thread, and leaves nothing open. For a process that serves nobody yet: the thread that
 * searches takes some 7 MiB, and many a server is never asked for a search. @throws IdentityError as the port says
 */
export function holdingsAtStart(path: string): HoldingsReader & KeyHolderReader {
  return {
    readHoldings: async (now) => {
      const { held, tokens } = readOnce(path, (db) => readHoldingRows(db, now))
      return await parseHoldings([held], tokens)
    },
    readKeyHolders: async (keys, now) =>
      readOnce(path, (db) => readKeyHolderRows(db, keys, now)).map((row) => parseKeyHolder(row)),
  }
}

function readOnce<Rows>(path: string, read: (db: DatabaseSync) => Rows): Rows {
  using db = openDatabaseReader(path)
  try {
    return read(db)
  } catch (error) {
    throw asNotReady(error)
  }
}
