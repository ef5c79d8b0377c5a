import { createHash } from "node:crypto"
import type { DatabaseSync } from "node:sqlite"
import { IdentityError } from "../../core/errors.ts"
import { APPLICATION_ID, MIGRATIONS, type Migration } from "./schema.ts"
import { integerOf, textOf } from "./sql-row.ts"

/** True when `db` holds a store of ours, in whatever version. @throws IdentityError `not-ready` when it is something else */
export function isInitialised(db: DatabaseSync): boolean {
  const applicationId = pragma(db, "application_id")
  if (applicationId === APPLICATION_ID) return true
  if (applicationId === 0 && pragma(db, "schema_version") === 0) return false
  throw new IdentityError("not-ready", "file is a database of another program", { reason: "store-foreign" })
}

/** Bring the schema to the version of this program: all steps in one transaction, or none. @see STO-03 */
export function migrate(db: DatabaseSync): void {
  db.exec("BEGIN IMMEDIATE")
  try {
    if (!isInitialised(db)) {
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
      db.exec("CREATE TABLE migration (version INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT")
    }
    const applied = checkApplied(db)
    for (const migration of MIGRATIONS.slice(applied)) apply(db, migration)
    db.exec("COMMIT")
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK")
    throw error
  }
}

/** How many migrations this store has. @throws IdentityError `not-ready` when they are not a prefix of ours */
export function checkApplied(db: DatabaseSync): number {
  const rows = db.prepare("SELECT version, checksum FROM migration ORDER BY version").all()
  if (rows.length > MIGRATIONS.length || pragma(db, "user_version") !== rows.length) {
    throw new IdentityError("not-ready", "store was written by a later version", { reason: "store-version" })
  }
  rows.forEach((row, index) => {
    const migration = MIGRATIONS[index]
    if (migration?.version !== integerOf(row, "version") || checksumOf(migration) !== textOf(row, "checksum")) {
      throw new IdentityError("not-ready", "schema of the store is not ours", { reason: "store-version" })
    }
  })
  return rows.length
}

function apply(db: DatabaseSync, migration: Migration): void {
  db.exec(migration.sql)
  db.prepare("INSERT INTO migration (version, checksum) VALUES (?, ?)").run(migration.version, checksumOf(migration))
  db.exec(`PRAGMA user_version = ${migration.version}`)
}

function checksumOf(migration: Migration): string {
  return createHash("sha256").update(migration.sql).digest("hex")
}

function pragma(db: DatabaseSync, name: "application_id" | "schema_version" | "user_version"): number {
  return integerOf(db.prepare(`PRAGMA ${name}`).get(), name)
}
