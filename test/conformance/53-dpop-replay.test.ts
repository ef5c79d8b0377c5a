import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { CommitEngine } from "../../src/adapters/sqlite/commit-engine.ts"
import { CommitQueue, type RunJobs } from "../../src/adapters/sqlite/commit-queue.ts"
import { HeldKeys } from "../../src/adapters/sqlite/held-keys.ts"
import { openDatabase } from "../../src/adapters/sqlite/open-database.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { OrderDesk } from "../../src/adapters/sqlite/order-desk.ts"
import { ProofStatements } from "../../src/adapters/sqlite/proof-statements.ts"
import { SqliteReplayLog } from "../../src/adapters/sqlite/sqlite-replay-log.ts"
import { IdentityError } from "../../src/core/errors.ts"
import type { ReplayUse } from "../../src/ports/replay-log.ts"
import { refusal } from "../support/refusal.ts"
import { makeScratch } from "../support/scratch.ts"

const UNTIL = 1_800_000_090

test("[RPL-01] one of 200 concurrent claims wins, and the claim outlives the process that made it", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  {
    await using store = await openSqliteStore({ path, mode: "create" })
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => store.replayLog.claim(claim("one"))))
    assert.equal(outcomes.filter((outcome) => outcome === "claimed").length, 1)
  }
  alter(path, "INSERT INTO authority (id, revision, record) VALUES (1, 1, '{}')")
  await using again = await openSqliteStore({ path, mode: "open" })
  assert.equal(await again.replayLog.claim(claim("one")), "replayed")
})

test("[RPL-02] the same id is two claims for two uses", async () => {
  await using opened = await openEngine()
  const log = new SqliteReplayLog(new CommitQueue(opened.run))
  assert.equal(await log.claim(claim("one", "client-assertion")), "claimed")
  assert.equal(await log.claim(claim("one", "dpop-proof")), "claimed")
  assert.equal(await log.claim(claim("one", "dpop-proof")), "replayed")
})

for (const [fault, landed] of [
  ["kept", true],
  ["lost", false],
] as const) {
  test(`[RPL-03] a claim whose commit was ${fault} and reported as failed is claimed by saying it again, and only once`, async () => {
    await using opened = await openEngine()
    let failures = 1
    const queue = new CommitQueue(async (group) => {
      if (failures-- > 0) {
        if (landed) await opened.run(group)
        throw new IdentityError("not-ready", "store cannot write", { reason: "store-write-failed" })
      }
      return opened.run(group)
    })
    const log = new SqliteReplayLog(queue)
    assert.equal(await log.claim(claim("one")), "claimed")
    assert.equal(await log.claim(claim("one")), "replayed")
  })
}

test("[RPL-03] a claim whose outcome stays unknown is refused as not-ready, which is neither yes nor no", async () => {
  let attempts = 0
  const queue = new CommitQueue(async () => {
    attempts++
    throw new IdentityError("not-ready", "store cannot write", { reason: "store-write-failed" })
  })
  await assert.rejects(new SqliteReplayLog(queue).claim(claim("one")), refusal("not-ready", "store-write-failed"))
  assert.equal(attempts, 2)
})

test("[RPL-04] a full log refuses new proofs, knows the old ones, and takes new ones once old ones are pruned", async () => {
  await using opened = await openEngine()
  const statements = new ProofStatements(opened.db, { claims: 2, revocations: 1 })
  const put = (id: string, until: number) =>
    statements.run({ kind: "claim", use: "dpop-proof", id: Buffer.from(id), holder: Buffer.from(id), until })
  assert.deepEqual(put("a", 10), { kind: "claim", won: true })
  assert.deepEqual(put("b", 20), { kind: "claim", won: true })
  const refused = put("c", 30)
  assert.ok(refused.kind === "failed" && refused.failure.code === "rate-limited")
  assert.equal(refused.failure.reason, "replay-log-full")
  assert.deepEqual(statements.run({ kind: "prune-proofs", before: 15, batch: 10 }), {
    kind: "pruned",
    rows: 1,
    more: false,
  })
  assert.deepEqual(put("c", 30), { kind: "claim", won: true })
})

test("[RPL-04] the log is counted when a pruning has come to its end, and not with each batch of it", async () => {
  await using opened = await openEngine()
  let counted = 0
  const prepare = opened.db.prepare.bind(opened.db)
  opened.db.prepare = (sql) => {
    const statement = prepare(sql)
    const get = statement.get.bind(statement)
    statement.get = (...values: []) => {
      if (sql.includes("count(*)")) counted++
      return get(...values)
    }
    return statement
  }
  const statements = new ProofStatements(opened.db, { claims: 6, revocations: 1 })
  const claim = (i: number) => {
    const id = Buffer.from(`${i}`)
    return statements.run({ kind: "claim", use: "dpop-proof", id, holder: id, until: i }).kind
  }
  for (let i = 0; i < 6; i++) assert.equal(claim(i), "claim")
  const prune = () => statements.run({ kind: "prune-proofs", before: 5, batch: 2 })
  assert.deepEqual(
    [prune(), prune()].map(({ kind }) => kind),
    ["pruned", "pruned"],
  )
  assert.deepEqual(
    [claim(10), claim(11), claim(12), claim(13), claim(14)],
    ["claim", "claim", "claim", "claim", "failed"],
  )
  assert.equal(counted, 1)
  prune()
  assert.equal(counted, 2)
})

test("[RPL-05] pruning forgets only what ended before the instant, up to the batch", async () => {
  await using scratch = await makeScratch()
  await using store = await openSqliteStore({ path: scratch.path("s.db"), mode: "create" })
  for (const [i, until] of [30, 10, 20, 40].entries()) {
    await store.replayLog.claim({ use: "dpop-proof", id: `p${i}`, from: 0, until })
  }
  assert.equal((await store.pruneProofs(31, 2)).rows, 2)
  assert.equal((await store.pruneProofs(31, 2)).rows, 1)
  assert.equal((await store.pruneProofs(31, 2)).rows, 0)
  assert.equal(await store.replayLog.claim({ use: "dpop-proof", id: "p3", from: 0, until: 40 }), "replayed")
  await assert.rejects(store.pruneProofs(31, 10_001), RangeError)
})

test("[RPL-06] of a proof nothing but a digest of its id is kept", async () => {
  await using opened = await openEngine()
  await new SqliteReplayLog(new CommitQueue(opened.run)).claim(claim("canary-of-a-client"))
  const [row] = opened.db.prepare("SELECT use, id, holder, until FROM spent_proof").all()
  assert.equal(row?.["until"], UNTIL)
  assert.ok(row?.["id"] instanceof Uint8Array && row["id"].length === 32)
  assert.equal(JSON.stringify(row, bytesAsText).includes("canary"), false)
})

function claim(id: string, use: ReplayUse = "dpop-proof") {
  return { use, id, from: 0, until: UNTIL }
}

/** The store's engine on this thread. */
async function openEngine(): Promise<AsyncDisposable & { readonly db: DatabaseSync; readonly run: RunJobs }> {
  const scratch = await makeScratch()
  const db = openDatabase(scratch.path("s.db"), "create")
  const desk = new OrderDesk(new CommitEngine(db), new HeldKeys())
  const close = async () => {
    db.close()
    await scratch[Symbol.asyncDispose]()
  }
  return { db, run: (jobs) => new Promise((answer) => desk.run([{ jobs, answer }])), [Symbol.asyncDispose]: close }
}

function bytesAsText(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value
}

function alter(path: string, sql: string): void {
  using db = new DatabaseSync(path, { timeout: 10_000 })
  db.exec(sql)
}
