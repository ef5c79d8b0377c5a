import assert from "node:assert/strict"
import type { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { CommitEngine } from "../../src/adapters/sqlite/commit-engine.ts"
import { openDatabase } from "../../src/adapters/sqlite/open-database.ts"
import { searchIssuances } from "../../src/adapters/sqlite/search-issuances.ts"
import { makeScratch } from "../support/scratch.ts"
import { FaultyDatabase, intentOperation } from "../support/store-faults.ts"

test("[STO-19] says once who the recipient of many intents is", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  const engine = new CommitEngine(db)
  engine.run([intentOperation("a"), intentOperation("b"), intentOperation("c", { hint: "other" })])
  engine.run([intentOperation("d")])
  assert.equal(count(db, "recipient"), 2)
  new CommitEngine(db).run([intentOperation("e")]) // another process has none of them in memory
  assert.equal(count(db, "recipient"), 2)
  assert.deepEqual(hints(db), ["", "", "other", "", ""])
})

for (const fault of ["lost", "kept"] as const) {
  test(`[STO-19] names the recipient of each intent after a commit that was ${fault}`, async () => {
    await using scratch = await makeScratch()
    openDatabase(scratch.path("s.db"), "create").close()
    using db = new FaultyDatabase(scratch.path("s.db"))
    const engine = new CommitEngine(db)
    db.fault = fault
    engine.run([intentOperation("a")])
    db.fault = "none"
    assert.deepEqual(
      engine.run([intentOperation("b")]).map(({ kind }) => kind),
      ["recorded"],
    )
    assert.deepEqual(hints(db), fault === "lost" ? [""] : ["", ""])
  })
}

test("[STO-19] names the recipient of each intent of a group of which one cannot be written", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  db.exec(`CREATE TRIGGER fail_one BEFORE INSERT ON audit_event WHEN NEW.request_id = 'request-bad'
    BEGIN SELECT RAISE(ABORT, 'told to fail'); END`)
  new CommitEngine(db).run([intentOperation("a"), intentOperation("bad"), intentOperation("b")])
  assert.deepEqual(hints(db), ["", ""])
})

test("[STO-18] [STO-19] forgets recipients with the last of their intents, and knows them when they come again", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  const engine = new CommitEngine(db)
  const old = { createdAt: 5, notAfter: 10 }
  engine.run([intentOperation("a", old), intentOperation("b", { ...old, hint: "other" }), intentOperation("c")])
  engine.run([{ kind: "prune", before: 20, batch: 10 }])
  assert.deepEqual([count(db, "recipient"), hints(db)], [1, [""]])
  engine.run([intentOperation("d", { hint: "other" }), intentOperation("e")])
  assert.deepEqual(hints(db), ["", "other", ""])
  assert.equal(count(db, "recipient"), 2)
})

test("a search by recipient looks at what is of this recipient alone", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  const plans: string[] = []
  const prepare = db.prepare.bind(db)
  db.prepare = (sql) => {
    const steps = prepare(`EXPLAIN QUERY PLAN ${sql}`).all()
    plans.push(steps.map((step) => String(step["detail"])).join("; "))
    return prepare(sql)
  }
  searchIssuances(db, { spiffeId: "x", limit: 10 })
  assert.match(
    plans.at(-1) ?? "",
    /SEARCH found USING COVERING INDEX recipient_spiffe_id.*SEARCH intent USING COVERING INDEX intent_recipient/,
  )
})

/** Of all intents, oldest first; one without a recipient would be missing. */
function hints(db: DatabaseSync): readonly unknown[] {
  const found = searchIssuances(db, { limit: 100 }).map((row) => row["hint"])
  assert.equal(found.length, count(db, "intent"))
  return found.reverse()
}

function count(db: DatabaseSync, table: "intent" | "recipient"): unknown {
  return db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]
}
