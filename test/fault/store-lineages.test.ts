import assert from "node:assert/strict"
import type { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { CommitEngine } from "../../src/adapters/sqlite/commit-engine.ts"
import { openDatabase } from "../../src/adapters/sqlite/open-database.ts"
import type { Operation } from "../../src/adapters/sqlite/operation.ts"
import { makeScratch } from "../support/scratch.ts"
import { FaultyDatabase, intentOperation } from "../support/store-faults.ts"

for (const fault of ["lost", "kept"] as const) {
  test(`[LIN-13] goes on from what is on the disk after a commit that was ${fault}`, async () => {
    await using scratch = await makeScratch()
    openDatabase(scratch.path("s.db"), "create").close()
    using db = new FaultyDatabase(scratch.path("s.db"))
    const engine = new CommitEngine(db)
    outcomes(engine, renewal("c0", undefined))
    db.fault = fault
    outcomes(engine, renewal("c1", "c0"))
    db.fault = "none"
    assert.deepEqual(outcomes(engine, renewal("other", "c0")), [fault === "lost" ? "recorded" : "refused"])
  })
}

test("[LIN-13] refuses who goes on from what another process has renewed", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  using otherDb = openDatabase(scratch.path("s.db"), "create")
  const engine = new CommitEngine(db)
  outcomes(engine, renewal("c0", undefined))
  assert.deepEqual(outcomes(new CommitEngine(otherDb), renewal("c1", "c0")), ["recorded"])
  assert.deepEqual(outcomes(engine, renewal("other", "c0")), ["refused"])
})

test("[LIN-13] forgets what was pruned", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  const engine = new CommitEngine(db)
  const old = { createdAt: 5, notAfter: 10 }
  outcomes(engine, renewal("c0", undefined, old), { kind: "prune-lineages", before: 20, batch: 10 })
  assert.deepEqual(outcomes(engine, renewal("c1", "c0", old)), ["recorded"])
  assert.deepEqual(lineages(db), ["c1"])
})

test("[LIN-13] goes on in the rest of a group of which one cannot be written", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  db.exec(`CREATE TRIGGER fail_one BEFORE INSERT ON audit_event WHEN NEW.request_id = 'request-bad'
    BEGIN SELECT RAISE(ABORT, 'told to fail'); END`)
  const group = [renewal("c0", undefined), renewal("bad", "c0"), renewal("c1", "c0"), renewal("other", "c0")]
  assert.deepEqual(outcomes(new CommitEngine(db), ...group), ["recorded", "failed", "recorded", "refused"])
  assert.deepEqual(lineages(db), ["c1"])
})

test("[LIN-07] [LIN-13] writes what moved more than once in a group once", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  db.exec(`CREATE TABLE written (id INTEGER);
    CREATE TRIGGER count_new AFTER INSERT ON lineage BEGIN INSERT INTO written VALUES (NEW.id); END;
    CREATE TRIGGER count_moved AFTER UPDATE ON lineage BEGIN INSERT INTO written VALUES (NEW.id); END`)
  const engine = new CommitEngine(db)
  const begun = Array.from({ length: 20 }, (_, i) => renewal(`b${i}`, undefined))
  outcomes(engine, ...begun)
  assert.deepEqual(
    lineages(db),
    Array.from({ length: 8 }, (_, i) => `b${i + 12}`),
  )
  outcomes(engine, renewal("c1", "b19"), renewal("c2", "c1"), renewal("c3", "c2"))
  assert.equal(db.prepare("SELECT count(*) AS n FROM written").get()?.["n"], 9)
  assert.deepEqual(outcomes(engine, renewal("late", "c1")), ["refused"])
})

function renewal(
  serial: string,
  quoted: string | undefined,
  change: Parameters<typeof intentOperation>[1] = {},
): Operation {
  const operation = intentOperation(serial, change)
  if (operation.kind !== "intent") throw new TypeError("not an intent")
  return { ...operation, renewal: { quoted, key: `key of ${serial}`, isSole: false } }
}

function outcomes(engine: CommitEngine, ...group: readonly Operation[]): readonly string[] {
  return engine.run(group).map(({ kind }) => kind)
}

function lineages(db: DatabaseSync): readonly unknown[] {
  return db
    .prepare("SELECT current FROM lineage ORDER BY id")
    .all()
    .map((row) => row["current"])
}
