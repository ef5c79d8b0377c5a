import assert from "node:assert/strict"
import { test } from "node:test"
import { type MemoryStore, openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { openAuditReader } from "../../src/adapters/sqlite/audit-reader.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { NO_RECORD } from "../../src/core/audit/chain.ts"
import type { AuditRecord } from "../../src/core/audit/record.ts"
import { ChainWalk } from "../../src/core/audit/walk.ts"
import type { AuditChain, AuditLog } from "../../src/ports/audit-log.ts"
import type { IssuanceLog } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { makeScratch } from "../support/scratch.ts"

interface ChainUnderTest extends AsyncDisposable {
  readonly auditLog: AuditLog
  readonly auditChain: AuditChain
  readonly issuanceLog: IssuanceLog
  readonly records: () => readonly AuditRecord[]
}

const ORIGIN = { trustDomain: "prod.example", incarnation: "a1" }

for (const open of [openMemory, openSqlite]) {
  test(`audit chain: ${open.name} begins once, and every record of intents and of the log follows on`, async () => {
    await using store = await open()
    await store.auditChain.start(ORIGIN, FIXTURE_NOW)
    await store.auditChain.start(ORIGIN, FIXTURE_NOW)
    const writes = Array.from({ length: 40 }, (_, i) => record(store, `c${i}`, i % 3 === 0))
    await Promise.all(writes)
    const records = store.records()
    assert.equal(records.length, 41)
    assert.deepEqual(walk(records).unchained, 0)
    assert.deepEqual((await store.auditChain.state()).head, { sequence: 41, hash: records[40]?.hash })
  })

  test(`audit chain: ${open.name} seals what was there before it, and goes on for another incarnation`, async () => {
    await using store = await open()
    await record(store, "old-1", true)
    await record(store, "old-2", false)
    assert.deepEqual(await store.auditChain.state(), { head: NO_RECORD, started: 0, sealed: undefined })
    await store.auditChain.start(ORIGIN, FIXTURE_NOW)
    await record(store, "new-1", true)
    await store.auditChain.start({ ...ORIGIN, incarnation: "b2" }, FIXTURE_NOW)
    await record(store, "new-2", false)
    const report = walk(store.records())
    assert.deepEqual([report.records, report.unchained], [6, 2])
    assert.equal((await store.auditChain.state()).started, 5)
  })

  test(`audit chain: ${open.name} finds its newest seal and what it speaks of`, async () => {
    await using store = await open()
    await store.auditChain.start(ORIGIN, FIXTURE_NOW)
    const { head } = await store.auditChain.state()
    const seal = { ...head, mac: "00" }
    await store.auditLog.append({ type: "audit.sealed", at: FIXTURE_NOW, actor: "server", requestId: "seal", ...seal })
    await record(store, "later", false)
    assert.deepEqual((await store.auditChain.state()).sealed, { seal, found: head.hash })
  })
}

test("audit chain: memory and sqlite hash alike", async () => {
  await using memory = await openMemory()
  await using sqlite = await openSqlite()
  for (const store of [memory, sqlite]) {
    await record(store, "old", false)
    await store.auditChain.start(ORIGIN, FIXTURE_NOW)
    await record(store, "x", true)
  }
  assert.deepEqual(sqlite.records(), memory.records())
})

function walk(records: readonly AuditRecord[]) {
  const chain = new ChainWalk({ from: "start" })
  for (const one of records) assert.equal(chain.take(one), undefined)
  return chain.report()
}

async function record(store: ChainUnderTest, serial: string, withIntent: boolean): Promise<void> {
  if (withIntent)
    await store.issuanceLog.recordIntent(fixtureIntent(serial), fixtureGrant(serial), FIXTURE_NOW, NO_BANS)
  else await store.auditLog.append(fixtureGrant(serial))
}

async function openMemory(): Promise<ChainUnderTest> {
  const store: MemoryStore = openMemoryStore()
  const { auditLog, auditChain, issuanceLog } = store
  return { auditLog, auditChain, issuanceLog, records: () => auditChain.records, [Symbol.asyncDispose]: async () => {} }
}

async function openSqlite(): Promise<ChainUnderTest> {
  const scratch = await makeScratch()
  const store = await openSqliteStore({ path: scratch.path("s.db"), mode: "create" })
  const reader = openAuditReader(scratch.path("s.db"))
  const { auditLog, auditChain, issuanceLog } = store
  const close = async (): Promise<void> => {
    reader[Symbol.dispose]()
    await store[Symbol.asyncDispose]()
    await scratch[Symbol.asyncDispose]()
  }
  return { auditLog, auditChain, issuanceLog, records: () => reader.read(0, 1000), [Symbol.asyncDispose]: close }
}
