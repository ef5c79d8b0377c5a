import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { encodeAudit } from "../../src/adapters/sqlite/audit-row.ts"
import { CommitEngine } from "../../src/adapters/sqlite/commit-engine.ts"
import { encodeIntent } from "../../src/adapters/sqlite/intent-row.ts"
import { openDatabase } from "../../src/adapters/sqlite/open-database.ts"
import type { Operation } from "../../src/adapters/sqlite/operation.ts"
import { searchIssuances } from "../../src/adapters/sqlite/search-issuances.ts"
import type { Intent } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { makeScratch } from "../support/scratch.ts"

test("[STO-19] says once who the recipient of many intents is", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  const engine = new CommitEngine(db)
  engine.run([intent("a"), intent("b"), intent("c", { hint: "other" })])
  engine.run([intent("d")])
  assert.equal(count(db, "recipient"), 2)
  new CommitEngine(db).run([intent("e")]) // another process knows none of them
  assert.deepEqual(hints(db), ["", "", "other", "", ""])
})

for (const fault of ["lost", "kept"] as const) {
  test(`[STO-19] names the recipient of each intent after a commit that was ${fault}`, async () => {
    await using scratch = await makeScratch()
    openDatabase(scratch.path("s.db"), "create").close()
    using db = new FaultyDatabase(scratch.path("s.db"))
    const engine = new CommitEngine(db)
    db.fault = fault
    engine.run([intent("a")])
    db.fault = undefined
    assert.deepEqual(
      engine.run([intent("b")]).map(({ kind }) => kind),
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
  new CommitEngine(db).run([intent("a"), intent("bad"), intent("b")])
  assert.deepEqual(hints(db), ["", ""])
})

test("[STO-18] [STO-19] forgets recipients with the last of their intents, and knows them when they come again", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  const engine = new CommitEngine(db)
  const old = { createdAt: 5, notAfter: 10 }
  engine.run([intent("a", old), intent("b", { ...old, hint: "other" }), intent("c")])
  engine.run([{ kind: "prune", before: 20, batch: 10 }])
  assert.deepEqual([count(db, "recipient"), hints(db)], [1, [""]])
  engine.run([intent("d", { hint: "other" }), intent("e")])
  assert.deepEqual(hints(db), ["", "other", ""])
})

test("a search by recipient looks at what is of this recipient alone", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  const plans: string[] = []
  const prepare = db.prepare.bind(db)
  db.prepare = (sql) => {
    const steps = prepare(`EXPLAIN QUERY PLAN ${sql}`).all("x", 10)
    plans.push(steps.map((step) => String(step["detail"])).join("; "))
    return prepare(sql)
  }
  searchIssuances(db, { spiffeId: "x", limit: 10 })
  assert.match(
    plans[0] ?? "",
    /SEARCH recipient USING INDEX recipient_spiffe_id.*SEARCH intent USING INDEX intent_recipient/,
  )
})

/** "kept": COMMIT happens and then throws. "lost": the transaction is gone, and COMMIT throws. */
class FaultyDatabase extends DatabaseSync {
  fault: "lost" | "kept" | undefined

  override exec(sql: string): void {
    const failing = sql === "COMMIT" && this.fault !== undefined
    super.exec(failing && this.fault === "lost" ? "ROLLBACK" : sql)
    if (failing) throw Object.assign(new Error("disk I/O error"), { errcode: 1034 })
  }
}

function intent(serial: string, change: Partial<Intent> = {}): Operation {
  return {
    kind: "intent",
    intent: encodeIntent(fixtureIntent(serial, change)),
    idempotencyKey: null,
    reuseSince: FIXTURE_NOW,
    audit: encodeAudit(fixtureGrant(serial)),
    ...NO_BANS,
    renewal: null,
  }
}

/** Of all intents, oldest first; one without a recipient would be missing. */
function hints(db: DatabaseSync): readonly unknown[] {
  const found = searchIssuances(db, { limit: 100 }).map((row) => row["hint"])
  assert.equal(found.length, count(db, "intent"))
  return found.reverse()
}

function count(db: DatabaseSync, table: "intent" | "recipient"): unknown {
  return db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]
}
