import assert from "node:assert/strict"
import { randomInt } from "node:crypto"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { openAuditReader } from "../../src/adapters/sqlite/audit-reader.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import type { AuditRecord } from "../../src/core/audit/record.ts"
import { ChainWalk } from "../../src/core/audit/walk.ts"
import { FIXTURE_NOW } from "../support/issuance-fixtures.ts"
import { makeScratch } from "../support/scratch.ts"
import { writeUntilKilled } from "../support/write-until-killed.ts"

const ROUNDS = 6

test("[STO-16][ISS-04][AUD-10] keeps every acknowledged intent and its audit record in the chain through SIGKILL at random moments", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("store.db")
  await makeStore(path)
  const acknowledged: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    acknowledged.push(...(await writeUntilKilled([path, String(round)], randomInt(1, 400))))
    using db = new DatabaseSync(path)
    assert.deepEqual({ ...db.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" })
    const recorded = db.prepare("SELECT serial FROM intent").all()
    const audited = chainIn(path).filter(({ type }) => type === "svid.granted")
    const serials = new Set(recorded.map((row) => row["serial"]))
    assert.deepEqual(
      acknowledged.filter((serial) => !serials.has(serial)),
      [],
    )
    assert.deepEqual(new Set(audited.map(({ data }) => JSON.parse(data).serial)), serials)
  }
  assert.ok(acknowledged.length >= ROUNDS)
})

async function makeStore(path: string): Promise<void> {
  await using store = await openSqliteStore({ path, mode: "create" })
  await store.auditChain.start({ trustDomain: "prod.example", incarnation: "a1" }, FIXTURE_NOW)
}

/** Every record, whose chain must hold. */
function chainIn(path: string): readonly AuditRecord[] {
  using reader = openAuditReader(path)
  const records = reader.read(0, 100_000)
  const walk = new ChainWalk({ from: "start" })
  for (const record of records) assert.equal(walk.take(record), undefined)
  return records
}
