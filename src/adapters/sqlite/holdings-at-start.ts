import type { HoldingsReader } from "../../ports/consumers.ts"
import { asNotReady, openDatabaseReader } from "./open-database.ts"
import { parseHoldings, readHoldingRows } from "./read-holdings.ts"

/**
 * Reads the store at `path` on this very thread, and leaves nothing open. For a process that serves nobody yet: the thread that
 * searches takes some 7 MiB, and many a server is never asked for a search. @throws IdentityError as the port says
 */
export function holdingsAtStart(path: string): HoldingsReader {
  return {
    readHoldings: async (now) => {
      using db = openDatabaseReader(path)
      try {
        return parseHoldings(readHoldingRows(db, now))
      } catch (error) {
        throw asNotReady(error)
      }
    },
  }
}
