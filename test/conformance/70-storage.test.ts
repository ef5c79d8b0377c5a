import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { chmod, stat, writeFile } from "node:fs/promises"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { exposedFiles } from "../../src/adapters/sqlite/exposed-files.ts"
import { openIssuanceReader } from "../../src/adapters/sqlite/issuance-reader.ts"
import { demandDurability, openDatabase } from "../../src/adapters/sqlite/open-database.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import type { IssuanceLog } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { refusal } from "../support/refusal.ts"
import { makeScratch } from "../support/scratch.ts"

test("[STO-01] refuses to create a store where one is, and leaves it as it was", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  await using store = await openSqliteStore({ path, mode: "create" })
  await record(store.issuanceLog, "a1")
  await assert.rejects(openSqliteStore({ path, mode: "create" }), refusal("already-exists"))
  assert.equal((await store.issuanceLog.search({ limit: 10 })).length, 1)
})

test("[STO-01] takes a store that an interrupted start left empty", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  await writeFile(path, "")
  await (await openSqliteStore({ path, mode: "create" }))[Symbol.asyncDispose]()
  await using store = await openSqliteStore({ path, mode: "create" })
  await record(store.issuanceLog, "a1")
  await assert.rejects(openSqliteStore({ path, mode: "create" }), refusal("already-exists"))
})

test("[STO-02] refuses to open a store that is not there and leaves no file behind", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("mistyped.db")
  await assert.rejects(openSqliteStore({ path, mode: "open" }), refusal("not-found"))
  assert.equal(existsSync(path), false)
  await writeFile(path, "")
  await assert.rejects(openSqliteStore({ path, mode: "open" }), refusal("not-found"))
})

test("[STO-03] refuses a foreign database, a later version, and a schema with another checksum", async () => {
  await using scratch = await makeScratch()
  const foreign = scratch.path("foreign.db")
  alter(foreign, "CREATE TABLE theirs (x)")
  for (const mode of ["create", "open"] as const) {
    await assert.rejects(openSqliteStore({ path: foreign, mode }), refusal("not-ready", "store-foreign"))
  }
  for (const [name, sql] of [
    ["later", "PRAGMA user_version = 99"],
    ["row", "INSERT INTO migration (version, checksum) VALUES (99, 'x')"],
    ["checksum", "UPDATE migration SET checksum = 'x'"],
  ] as const) {
    const path = scratch.path(`${name}.db`)
    openDatabase(path, "create").close()
    alter(path, sql)
    await assert.rejects(openSqliteStore({ path, mode: "open" }), refusal("not-ready", "store-version"), name)
  }
  const text = scratch.path("text.db")
  await writeFile(text, "this is no database at all, but long enough to be read as one".repeat(20))
  await assert.rejects(openSqliteStore({ path: text, mode: "open" }), refusal("not-ready", "store-unusable"))
})

test("[STO-04] runs with WAL and synchronous=FULL, and refuses where there is no WAL", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  assert.equal(db.prepare("PRAGMA journal_mode").get()?.["journal_mode"], "wal")
  assert.equal(db.prepare("PRAGMA synchronous").get()?.["synchronous"], 2)
  using memory = new DatabaseSync(":memory:")
  assert.throws(() => demandDurability(memory), refusal("not-ready", "store-durability"))
})

test("[STO-05] shows what was recorded to a reader while the store is written", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  await assert.rejects(openIssuanceReader({ path }), refusal("not-found"))
  await using store = await openSqliteStore({ path, mode: "create" })
  await using reader = await openIssuanceReader({ path })
  await record(store.issuanceLog, "a1")
  assert.equal((await reader.search({ serial: "a1", limit: 1 })).length, 1)
})

test("[STO-06] makes its files for their owner alone whatever the umask, and tells those that others may read", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  const before = process.umask(0)
  try {
    await using store = await openSqliteStore({ path, mode: "create" })
    await record(store.issuanceLog, "a1")
    for (const suffix of ["", "-wal", "-shm"]) assert.equal((await stat(path + suffix)).mode & 0o777, 0o600, suffix)
    assert.deepEqual(await exposedFiles(path), [])
    await chmod(`${path}-wal`, 0o640)
    assert.deepEqual(await exposedFiles(path), [{ file: `${path}-wal`, mode: 0o640 }])
  } finally {
    process.umask(before)
  }
})

test("[STO-18] prunes only what expired before the instant, oldest first, up to the batch", async () => {
  await using scratch = await makeScratch()
  await using store = await openSqliteStore({ path: scratch.path("s.db"), mode: "create" })
  for (const [serial, notAfter] of [
    ["c", 30],
    ["a", 10],
    ["b", 20],
    ["d", 40],
  ] as const) {
    const life = { createdAt: notAfter - 5, notAfter }
    await store.issuanceLog.recordIntent(fixtureIntent(serial, life), fixtureGrant(serial), FIXTURE_NOW, NO_BANS)
    store.issuanceLog.recordOutcome(serial, new Uint8Array(70))
  }
  const left = async () => (await store.issuanceLog.search({ limit: 10 })).map((one) => one.intent.serial).sort()
  assert.equal((await store.prune(40, 2)).rows, 2)
  assert.deepEqual(await left(), ["c", "d"])
  assert.equal((await store.prune(40, 2)).rows, 1)
  assert.equal((await store.prune(40, 2)).rows, 0)
  assert.deepEqual(await left(), ["d"])
  await assert.rejects(store.prune(40, 10_001), RangeError)
})

function record(log: IssuanceLog, serial: string) {
  return log.recordIntent(fixtureIntent(serial), fixtureGrant(serial), FIXTURE_NOW, NO_BANS)
}

function alter(path: string, sql: string): void {
  using db = new DatabaseSync(path)
  db.exec(sql)
}
