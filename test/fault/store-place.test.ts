import assert from "node:assert/strict"
import { copyFile, rename, unlink } from "node:fs/promises"
import { test } from "node:test"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { refusal } from "../support/refusal.ts"
import { makeScratch } from "../support/scratch.ts"

const CHANGES: ReadonlyMap<string, (path: string) => Promise<void>> = new Map([
  ["taken away", (path) => unlink(path)],
  ["whose log was taken away", (path) => unlink(`${path}-wal`)],
  [
    "replaced by a copy of itself",
    async (path) => {
      await copyFile(path, `${path}.new`)
      await rename(`${path}.new`, path)
    },
  ],
])

for (const [what, change] of CHANGES) {
  test(`[STO-40] a store ${what} under the one that writes it is dead, and nothing is taken for written`, async () => {
    await using scratch = await makeScratch()
    const path = scratch.path("s.db")
    await using store = await openSqliteStore({ path, mode: "create" })
    const record = (serial: string) =>
      store.issuanceLog.recordIntent(fixtureIntent(serial), fixtureGrant(serial), FIXTURE_NOW, NO_BANS)
    await record("a")
    await change(path)
    await assert.rejects(record("b"), refusal("not-ready", "store-dead"))
    assert.ok(refusal("not-ready", "store-dead")(store.dead))
    assert.match(String(store.dead?.cause), /taken away or replaced/)
  })
}

test("[STO-40] a store that is copied and searched by others while it is written goes on", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  await using store = await openSqliteStore({ path, mode: "create" })
  for (const serial of ["a", "b", "c"]) {
    await store.issuanceLog.recordIntent(fixtureIntent(serial), fixtureGrant(serial), FIXTURE_NOW, NO_BANS)
    await store.issuanceLog.search({ serial, limit: 1 })
    await copyFile(path, scratch.path(serial))
  }
  assert.equal(store.dead, undefined)
})
