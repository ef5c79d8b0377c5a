import assert from "node:assert/strict"
import type { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { backupStore } from "../../src/adapters/sqlite/backup-store.ts"
import { CommitEngine } from "../../src/adapters/sqlite/commit-engine.ts"
import { openDatabase } from "../../src/adapters/sqlite/open-database.ts"
import type { OperationResult } from "../../src/adapters/sqlite/operation.ts"
import { RecentKeys } from "../../src/adapters/sqlite/recent-keys.ts"
import { pruneExpired } from "../../src/main/server/prune.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FIXTURE_NOW } from "../support/issuance-fixtures.ts"
import { quietLog } from "../support/quiet-log.ts"
import { makeScratch } from "../support/scratch.ts"
import { intentOperation } from "../support/store-faults.ts"

test("[STO-18] looks once in a pass at what has not expired, however much of it was created before what has", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  const engine = new CommitEngine(db)
  const live = Array.from({ length: 6 }, (_, i) => intentOperation(`l${i}`, { createdAt: 5, notAfter: 99 }))
  const ended = Array.from({ length: 4 }, (_, i) => intentOperation(`e${i}`, { createdAt: 6 + i, notAfter: 20 }))
  engine.run([...live, ...ended])
  const passes = [0, 1, 2, 3, 4, 5, 6].map(() => pruned(engine.run([{ kind: "prune", before: 20 + 1, batch: 2 }])))
  const nothing = { rows: 0, more: true }
  const two = { rows: 2, more: true }
  assert.deepEqual(passes, [nothing, nothing, nothing, two, two, { rows: 0, more: false }, nothing])
  assert.equal(count(db, "outcome"), 0)
  assert.equal(count(db, "intent"), 6)
})

test("[STO-25] reads no more than the last minute of a long log to know the retries", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  const keyed = (serial: string, createdAt: number) =>
    intentOperation(serial, { createdAt, idempotencyKey: Buffer.from(serial) })
  new CommitEngine(db).run([keyed("a", 100), keyed("b", 140), intentOperation("c", { createdAt: 200 })])
  const prepare = db.prepare.bind(db)
  const plans: string[] = []
  db.prepare = (sql) => {
    const steps = prepare(`EXPLAIN QUERY PLAN ${sql}`).all(60, 10)
    plans.push(...steps.map((step) => String(step["detail"])))
    return prepare(sql)
  }
  const recent = new RecentKeys(db)
  assert.deepEqual([recent.find(Buffer.from("a")), recent.find(Buffer.from("b"))], [undefined, 2])
  assert.deepEqual(
    plans.filter((step) => !step.startsWith("SEARCH intent USING") && !step.startsWith("SCALAR SUBQUERY")),
    [],
  )
})

test("[STO-26] looks through all lineages and intents at each pass, five thousand intents a second, a thousand or two at once", async () => {
  const clock = new FakeClock(FIXTURE_NOW)
  const calls = { prune: 0, pruneProofs: 0, pruneBans: 0, pruneLineages: 0 }
  const counted = (kind: keyof typeof calls, batches: number) => async (_before: number, batch: number) => {
    assert.ok(batch <= 2000, "a commit waits for it")
    calls[kind] += batch
    return { rows: 0, more: calls[kind] < batches * batch }
  }
  const store = {
    prune: counted("prune", 1000),
    pruneProofs: counted("pruneProofs", 1),
    pruneBans: counted("pruneBans", 1),
    pruneLineages: counted("pruneLineages", 50),
  }
  const stop = new AbortController()
  const running = pruneExpired({ store, clock, guard: { steady: () => true }, log: quietLog }, stop.signal)
  await clock.untilSleeping(4)
  await clock.advance(10)
  stop.abort()
  await running
  assert.deepEqual(calls, { prune: 51_000, pruneProofs: 2000, pruneBans: 1000, pruneLineages: 50_000 })
})

test("[STO-33] a copy of a large store is made in so many steps, though the server commits between any two", async () => {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  db.exec("INSERT INTO outcome (intent_id, signature) VALUES (1, zeroblob(16000000))")
  let steps = 0
  await backupStore(scratch.path("s.db"), scratch.path("copy.db"), () => {
    steps++
    if (steps < 100) db.exec(`UPDATE commit_mark SET mark = '${steps}'`)
  })
  assert.ok(steps < 5, `${steps} steps`)
  using copy = openDatabase(scratch.path("copy.db"), "open")
  assert.deepEqual([count(copy, "outcome"), copy.prepare("SELECT mark FROM commit_mark").get()?.["mark"]], [1, ""])
})

function pruned([result]: readonly OperationResult[]): unknown {
  if (result?.kind !== "pruned") return result
  const { rows, more } = result
  return { rows, more }
}

function count(db: DatabaseSync, table: "intent" | "outcome"): unknown {
  return db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]
}
