import assert from "node:assert/strict"
import { createPublicKey, verify } from "node:crypto"
import type { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { encodeAudit } from "../../src/adapters/sqlite/audit-row.ts"
import { CommitEngine } from "../../src/adapters/sqlite/commit-engine.ts"
import { HeldKeys } from "../../src/adapters/sqlite/held-keys.ts"
import { encodeIntent } from "../../src/adapters/sqlite/intent-row.ts"
import type { Job, JobResult, OrderJob } from "../../src/adapters/sqlite/job.ts"
import { openDatabase } from "../../src/adapters/sqlite/open-database.ts"
import { OrderDesk } from "../../src/adapters/sqlite/order-desk.ts"
import { digestSigned } from "../../src/core/jose/token-digest.ts"
import type { Intent } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { makeScratch } from "../support/scratch.ts"

test("[ISS-04] signs no order of a group whose commit failed, and the next group", async () => {
  await using bench = await openBench()
  let isFailing = true
  const exec = bench.db.exec.bind(bench.db)
  bench.db.exec = (sql) => {
    exec(sql === "COMMIT" && isFailing ? "ROLLBACK" : sql)
    if (sql === "COMMIT" && isFailing) throw Object.assign(new Error("disk I/O error"), { errcode: 1034 })
  }
  assert.deepEqual(kinds(bench.run([bench.order("a"), bench.order("b")])), ["not-ready", "not-ready"])
  assert.equal(bench.signatures(), 0)
  isFailing = false
  assert.deepEqual(kinds(bench.run([bench.order("c")])), ["signed"])
  assert.deepEqual(bench.outcomes(), [])
  bench.desk.flush()
  assert.deepEqual(
    bench.outcomes().map(({ serial }) => serial),
    ["c"],
  )
})

test("[ISS-04] one order that cannot be recorded is not signed, and holds up none of its group", async () => {
  await using bench = await openBench()
  const results = bench.run([bench.order("a"), bench.order("a"), bench.order("b")])
  assert.deepEqual(kinds(results), ["signed", "already-exists", "signed"])
  assert.equal(bench.signatures(), 2)
})

test("[ISS-06][ISS-13] signs the bytes of the intent; of a token only the digest is kept", async () => {
  await using bench = await openBench()
  const [x509, jwt] = bench.run([bench.order("a"), bench.order("b", { kind: "jwt" })])
  assert.ok(x509?.kind === "signed" && jwt?.kind === "signed")
  const { tbs } = fixtureIntent("a")
  assert.ok(verify("sha256", tbs, bench.publicKey, x509.signature))
  assert.ok(verify("sha256", tbs, { key: bench.publicKey, dsaEncoding: "ieee-p1363" }, jwt.signature))
  bench.desk.flush()
  const [first, second] = bench.outcomes()
  assert.deepEqual(first?.signature, new Uint8Array(x509.signature))
  assert.deepEqual(second?.signature, new Uint8Array(digestSigned(tbs, jwt.signature)))
})

test("[ISS-09] a retry finds what the group before it signed, though that outcome was not written yet", async () => {
  await using bench = await openBench()
  const idempotencyKey = new Uint8Array(32).fill(3)
  const [first] = bench.run([bench.order("a", { idempotencyKey })])
  const [again] = bench.run([bench.order("b", { idempotencyKey })])
  assert.ok(first?.kind === "signed" && again?.kind === "row")
  assert.equal(again.row?.["serial"], "a")
  assert.deepEqual(again.row?.["signature"], new Uint8Array(first.signature))
  assert.equal(bench.signatures(), 1)
})

test("[ISS-08] an outcome that cannot be written loses no intent of the group it came with, and a flush says so once", async () => {
  await using bench = await openBench()
  bench.db.exec("CREATE TRIGGER fail_outcome BEFORE INSERT ON outcome BEGIN SELECT RAISE(ABORT, 'told to fail'); END")
  bench.run([bench.order("a")])
  assert.deepEqual(kinds(bench.run([bench.order("b"), { kind: "barrier" }])), ["signed", "internal"])
  bench.db.exec("DROP TRIGGER fail_outcome")
  assert.deepEqual(kinds(bench.run([{ kind: "barrier" }, { kind: "barrier" }])), ["done", "done"])
  assert.deepEqual(
    bench.outcomes().map(({ serial }) => serial),
    ["b"],
  )
})

test("[ISS-04] a group is committed as a whole before its first part is signed, and each part is there when it is", async () => {
  await using bench = await openBench()
  const parts = bench.desk.run([[bench.order("a"), bench.order("b")], [bench.order("c")]])
  assert.deepEqual(kinds(parts.next().value ?? []), ["signed", "signed"])
  assert.equal(bench.signatures(), 2)
  assert.equal(bench.db.prepare("SELECT count(*) AS intents FROM intent").get()?.["intents"], 3)
  assert.deepEqual(kinds(parts.next().value ?? []), ["signed"])
  assert.equal(parts.next().done, true)
})

/** A desk on this thread, with a key, over a store of its own. */
async function openBench() {
  const scratch = await makeScratch()
  const db = openDatabase(scratch.path("s.db"), "create")
  const keys = new CountingKeys()
  const made = keys.run({ kind: "make-key" })
  assert.ok(made.kind === "key")
  const desk = new OrderDesk(new CommitEngine(db), keys)
  return {
    db,
    desk,
    run: (jobs: readonly Job[]) => [...desk.run([jobs])].flat(),
    publicKey: createPublicKey({ key: Buffer.from(made.publicKey), format: "der", type: "spki" }),
    signatures: () => keys.signatures,
    outcomes: () => outcomesIn(db),
    order: (serial: string, change: Partial<Intent> = {}) => orderJob(fixtureIntent(serial, change), made.key),
    [Symbol.asyncDispose]: async () => {
      db.close()
      await scratch[Symbol.asyncDispose]()
    },
  }
}

class CountingKeys extends HeldKeys {
  signatures = 0

  override sign(...call: Parameters<HeldKeys["sign"]>): Uint8Array {
    this.signatures++
    return super.sign(...call)
  }
}

function orderJob(intent: Intent, key: number): OrderJob {
  const { tbs, idempotencyKey = null, serial } = intent
  const recording = { kind: "intent", intent: encodeIntent(intent), idempotencyKey, reuseSince: FIXTURE_NOW } as const
  const isToken = intent.kind === "jwt"
  return {
    kind: "order",
    key,
    tbs,
    form: isToken ? "p1363" : "der",
    outcome: isToken ? "digest" : "signature",
    recording: { ...recording, ...NO_BANS, renewal: null, audit: encodeAudit(fixtureGrant(serial)) },
  }
}

function kinds(results: readonly JobResult[]): readonly string[] {
  return results.map((result) => (result.kind === "failed" ? result.failure.code : result.kind))
}

function outcomesIn(db: DatabaseSync): readonly { readonly serial: unknown; readonly signature: unknown }[] {
  const rows = db.prepare("SELECT serial, signature FROM outcome JOIN intent ON intent_id = id ORDER BY serial").all()
  return rows.map((row) => ({ serial: row["serial"], signature: row["signature"] }))
}
