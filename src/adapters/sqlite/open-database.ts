import { closeSync, existsSync, openSync } from "node:fs"
import { resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { checkApplied, isInitialised, migrate } from "./migrate.ts"
import { integerOf, textOf } from "./sql-row.ts"

/**
 * `create`: a store that was ever used must not be there; one that is empty, as an interrupted `create` leaves it, is taken.
 * `open`: a store must be there. So a mistyped path never forks the state. @see STO-01 STO-02
 */
export type OpenMode = "create" | "open"

/**
 * Open for writing, with durability checked and the schema brought up to date. A new file is for its owner alone, and so are
 * those that SQLite puts beside it. @throws IdentityError @see STO-06
 */
export function openDatabase(path: string, mode: OpenMode): DatabaseSync {
  if (mode === "open" && !existsSync(path)) {
    throw new IdentityError("not-found", `there is no store at "${path}": check the path, or make one with assay init`)
  }
  if (mode === "create") makePrivateFile(path)
  const db = openFile(path, false)
  try {
    const initialised = isInitialised(db)
    if (mode === "create" && initialised && wasUsed(db)) {
      throw new IdentityError("already-exists", `there is a store at "${path}" already`)
    }
    if (mode === "open" && !initialised) {
      throw new IdentityError("not-found", `"${path}" is empty: check the path, or make a store with assay init`)
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
    // SQLite reads a relative path that begins with "file:" or is ":memory:" as something else.
    return new DatabaseSync(resolve(path), { readOnly, timeout: BUSY_TIMEOUT, defensive: true })
  } catch (error) {
    throw asNotReady(error)
  }
}

/** SQLite itself would leave the mode to the umask; WAL and index take that of the file. One that is there stays as it is. */
function makePrivateFile(path: string): void {
  try {
    closeSync(openSync(path, "a", 0o600))
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : ""
    throw new IdentityError("not-ready", `store "${path}" cannot be written${why}`, { cause, reason: "store-unusable" })
  }
}

/** @throws IdentityError `not-ready` when the schema is not one of ours */
function wasUsed(db: DatabaseSync): boolean {
  checkApplied(db)
  const used = "SELECT EXISTS (SELECT 1 FROM authority) OR EXISTS (SELECT 1 FROM intent) AS used"
  return integerOf(db.prepare(used).get(), "used") !== 0
}

/** @throws IdentityError `not-ready` for a file system, or a kind of database, without WAL @see INV-24 STO-04 */
export function demandDurability(db: DatabaseSync): void {
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
