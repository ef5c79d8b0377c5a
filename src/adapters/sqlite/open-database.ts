import { existsSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { checkApplied, isInitialised, migrate } from "./migrate.ts"
import { integerOf, textOf } from "./sql-row.ts"

/** `create`: a store must not be there. `open`: it must. So a mistyped path never forks the state. @see STO-01 STO-02 */
export type OpenMode = "create" | "open"

/** Open for writing, with durability checked and the schema brought up to date. @throws IdentityError */
export function openDatabase(path: string, mode: OpenMode): DatabaseSync {
  if (mode === "open" && !existsSync(path)) {
    throw new IdentityError("not-found", "there is no store at this path: check the path, or make one with assay init")
  }
  const db = openFile(path, false)
  try {
    const initialised = isInitialised(db)
    if (mode === "create" && initialised) {
      throw new IdentityError("already-exists", "there is a store at this path already")
    }
    if (mode === "open" && !initialised) {
      throw new IdentityError("not-found", "file is empty: check the path, or make a store with assay init")
    }
    demandDurability(db)
    migrate(db)
    return db
  } catch (error) {
    db.close()
    throw asNotReady(error)
  }
}

/** Open for reading beside a server that writes. @throws IdentityError `not-found`, `not-ready` */
export function openDatabaseReader(path: string): DatabaseSync {
  if (!existsSync(path)) throw new IdentityError("not-found", "there is no store at this path")
  const db = openFile(path, true)
  try {
    if (!isInitialised(db)) throw new IdentityError("not-found", "file is empty")
    checkApplied(db)
    return db
  } catch (error) {
    db.close()
    throw asNotReady(error)
  }
}

function openFile(path: string, readOnly: boolean): DatabaseSync {
  try {
    return new DatabaseSync(path, { readOnly, timeout: BUSY_TIMEOUT, defensive: true })
  } catch (error) {
    throw asNotReady(error)
  }
}

/** @see INV-24 STO-04 */
function demandDurability(db: DatabaseSync): void {
  const journal = textOf(db.prepare("PRAGMA journal_mode = WAL").get(), "journal_mode")
  db.exec("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON")
  db.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA journal_size_limit = ${MAX_IDLE_WAL}`)
  const synchronous = integerOf(db.prepare("PRAGMA synchronous").get(), "synchronous")
  if (journal === "wal" && synchronous === FULL) return
  throw new IdentityError("not-ready", "store cannot promise durable commits (WAL with synchronous=FULL)", {
    reason: "store-durability",
  })
}

/** What node:sqlite threw, with the reason in the log only. */
export function asNotReady(error: unknown): IdentityError {
  if (error instanceof Error && "errcode" in error) {
    return new IdentityError("not-ready", "store cannot be opened", { cause: error, reason: "store-unusable" })
  }
  return toIdentityError(error)
}

const FULL = 2
const BUSY_TIMEOUT = 5000
const CHECKPOINT_PAGES = 4000
const MAX_IDLE_WAL = 64 * 1024 * 1024
