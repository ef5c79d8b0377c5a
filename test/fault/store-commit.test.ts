import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import type { Worker } from "node:worker_threads"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { openAuditReader } from "../../src/adapters/sqlite/audit-reader.ts"
import { CommitEngine } from "../../src/adapters/sqlite/commit-engine.ts"
import { CommitQueue } from "../../src/adapters/sqlite/commit-queue.ts"
import { openDatabase } from "../../src/adapters/sqlite/open-database.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import type { OperationResult } from "../../src/adapters/sqlite/operation.ts"
import { ChainWalk } from "../../src/core/audit/walk.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { refusal } from "../support/refusal.ts"
import { makeScratch } from "../support/scratch.ts"
import { FaultyDatabase, intentOperation } from "../support/store-faults.ts"
import { until } from "../support/until.ts"

test("[STO-10][STO-12] one intent whose audit record cannot be written fails alone and leaves nothing", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  db.exec(`CREATE TRIGGER fail_one BEFORE INSERT ON audit_event WHEN NEW.request_id = 'request-bad'
    BEGIN SELECT RAISE(ABORT, 'told to fail'); END`)
  const results = new CommitEngine(db).run(["a", "bad", "b"].map((serial) => intentOperation(serial)))
  assert.deepEqual(results.map(outcomeOf), ["recorded", "internal", "recorded"])
  assert.deepEqual(serialsIn(db), ["a", "b"])
})

test("[STO-11] a full disk gives not-ready, nothing half-done, and reads go on", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  const pages = Number(db.prepare("PRAGMA page_count").get()?.["page_count"])
  db.exec(`PRAGMA max_page_count = ${pages + 4}`)
  const engine = new CommitEngine(db)
  const serials = Array.from({ length: 200 }, (_, i) => `s${i}`)
  const outcomes = serials.map((serial) =>
    engine
      .run([intentOperation(serial)])
      .map(outcomeOf)
      .join(),
  )
  assert.equal(outcomes.at(-1), "not-ready")
  const written = serials.filter((_, i) => outcomes[i] === "recorded").sort()
  assert.deepEqual(serialsIn(db), written)
  assert.equal(db.prepare("SELECT count(*) AS n FROM audit_event").get()?.["n"], written.length)
  assert.deepEqual(engine.run([{ kind: "read-authority" }]).map(outcomeOf), ["row"])
})

for (const [fault, expected] of [
  ["kept", "recorded"],
  ["lost", "not-ready"],
] as const) {
  test(`[STO-13][STO-14] a COMMIT that fails although the group was ${fault} is answered with ${expected}`, async () => {
    await using scratch = await makeScratch()
    openDatabase(scratch.path("s.db"), "create").close()
    using db = new FaultyDatabase(scratch.path("s.db"))
    const engine = new CommitEngine(db)
    db.fault = fault
    assert.deepEqual(engine.run([intentOperation("a"), intentOperation("b")]).map(outcomeOf), [expected, expected])
    db.fault = "none"
    assert.deepEqual(serialsIn(db), expected === "recorded" ? ["a", "b"] : [])
    assert.deepEqual(engine.run([intentOperation("c")]).map(outcomeOf), ["recorded"])
  })
}

test("[STO-15] answers rate-limited with a retry hint when 8192 writes wait", async () => {
  const queue = new CommitQueue(async (jobs) => jobs.map(() => ({ kind: "done" })))
  const waiting = Array.from({ length: 8192 }, () => queue.submit({ kind: "barrier" }))
  await assert.rejects(queue.submit({ kind: "barrier" }), (thrown) => {
    return refusal("rate-limited", "store-queue-full")(thrown) && thrown instanceof Error && "retryAfter" in thrown
  })
  await Promise.all(waiting)
  await queue.submit({ kind: "barrier" })
})

test("[STO-17] answers not-ready to all who wait, and from then on, when the store's thread dies", async () => {
  await using scratch = await makeScratch()
  const started = new Promise<Worker>((resolve) => process.once("worker", resolve))
  await using store = await openSqliteStore({ path: scratch.path("s.db"), mode: "create" })
  assert.equal(store.failure, undefined)
  const waiting = ["a", "b"].map((s) =>
    store.issuanceLog.recordIntent(fixtureIntent(s), fixtureGrant(s), FIXTURE_NOW, NO_BANS),
  )
  const [outcomes] = await Promise.all([Promise.allSettled(waiting), (await started).terminate()])
  assert.ok(outcomes.every((o) => o.status === "rejected" && refusal("not-ready", "store-dead")(o.reason)))
  assert.ok(refusal("not-ready", "store-dead")(store.failure))
  await assert.rejects(store.auditLog.append(fixtureGrant("c")), refusal("not-ready", "store-dead"))
})

test("[STO-08] searches go on after a thread that did not start, a search that failed and a thread that ended, and none is left behind", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  await using store = await openSqliteStore({ path, mode: "create" })
  await store.issuanceLog.recordIntent(fixtureIntent("a"), fixtureGrant("a"), FIXTURE_NOW, NO_BANS)
  const live = new Set<Worker>()
  const note = (worker: Worker) => void live.add(worker.once("exit", () => live.delete(worker)))
  const search = () => store.issuanceLog.search({ serial: "a", limit: 1 })
  process.once("worker", (worker: Worker) => {
    worker.emit("error", new Error("no thread"))
    void worker.terminate()
  })
  await assert.rejects(search(), /no thread/)
  process.on("worker", note)
  assert.equal((await search()).length, 1)
  const [first] = live
  using db = new DatabaseSync(path)
  db.exec("ALTER TABLE outcome RENAME TO elsewhere")
  await assert.rejects(search(), refusal("not-ready", "store-unusable"))
  db.exec("ALTER TABLE elsewhere RENAME TO outcome")
  assert.equal((await search()).length, 1)
  await until("the thread of the search that failed to end", () => first !== undefined && !live.has(first), 5000)
  const [second] = live
  await second?.terminate()
  await assert.rejects(search(), refusal("not-ready", "store-dead"))
  assert.equal((await search()).length, 1)
  await store[Symbol.asyncDispose]()
  process.off("worker", note)
  assert.equal(live.size, 0)
})

test("[ISS-08] a lost outcome loses no intent", async () => {
  const store = openMemoryStore()
  store.onWrite = (kind) => (kind === "outcome" ? "lost" : "none")
  await store.issuanceLog.recordIntent(fixtureIntent("a"), fixtureGrant("a"), FIXTURE_NOW, NO_BANS)
  store.issuanceLog.recordOutcome("a", new Uint8Array(70))
  await store.issuanceLog.flush()
  const [found] = await store.issuanceLog.search({ serial: "a", limit: 1 })
  assert.equal(found?.intent.serial, "a")
  assert.equal(found?.signature, undefined)
})

test("[AUD-10] the chain holds whatever commits fail, are lost or are kept, and whichever record cannot be written", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  openDatabase(path, "create").close()
  using db = new FaultyDatabase(path)
  db.exec(`CREATE TRIGGER fail_one BEFORE INSERT ON audit_event WHEN NEW.request_id LIKE 'request-bad%'
    BEGIN SELECT RAISE(ABORT, 'told to fail'); END`)
  const engine = new CommitEngine(db)
  engine.run([{ kind: "start-audit", origin: { trustDomain: "prod.example", incarnation: "a1" }, at: FIXTURE_NOW }])
  for (let round = 0; round < 12; round++) {
    db.fault = (["none", "lost", "kept"] as const)[round % 3] ?? "none"
    engine.run([`${round}-a`, `bad-${round}`, `${round}-b`].slice(round % 2).map((serial) => intentOperation(serial)))
    engine.run([`${round}-c`, `${round}-d`].map((serial) => intentOperation(serial)))
  }
  using reader = openAuditReader(path)
  const walk = new ChainWalk({ from: "start" })
  for (const record of reader.read(0, 1000)) assert.equal(walk.take(record), undefined)
  assert.equal(walk.report().records, 1 + serialsIn(db).length)
  assert.ok(walk.report().records > 20)
})

function outcomeOf(result: OperationResult): string {
  return result.kind === "failed" ? result.failure.code : result.kind
}

function serialsIn(db: DatabaseSync): readonly unknown[] {
  return db
    .prepare("SELECT serial FROM intent ORDER BY serial")
    .all()
    .map((row) => row["serial"])
}
