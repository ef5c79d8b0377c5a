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
import { OrderDesk, type Part, type SecondSigner } from "../../src/adapters/sqlite/order-desk.ts"
import { type Signed, SigningThread, type Unsigned } from "../../src/adapters/sqlite/signing-thread.ts"
import { digestSigned } from "../../src/core/jose/token-digest.ts"
import type { Intent } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { makeScratch } from "../support/scratch.ts"

test("[ISS-04] signs no order of a group whose commit failed, and the next group", async () => {
  await using bench = await openBench()
  bench.fail("COMMIT")
  assert.deepEqual(kinds(bench.run([bench.order("a"), bench.order("b")])), ["not-ready", "not-ready"])
  assert.equal(bench.signatures(), 0)
  bench.fail(undefined)
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
  const seen: unknown[] = []
  const part = (...jobs: readonly Job[]): Part => ({
    jobs,
    answer: (results) => seen.push([kinds(results), bench.signatures(), bench.intents()]),
  })
  bench.desk.run([part(bench.order("a"), bench.order("b")), part(bench.order("c"))])
  assert.deepEqual(seen, [
    [["signed", "signed"], 2, 3],
    [["signed"], 3, 3],
  ])
})

test("[ISS-04] a second thread is given the tokens of a group when they are durable, and none of a group that failed", async () => {
  const second = new FakeSecond()
  await using bench = await openBench(second)
  const tokens = [bench.token("a"), bench.token("b")]
  bench.fail("COMMIT")
  assert.deepEqual(kinds(bench.run(tokens)), ["not-ready", "not-ready"])
  assert.equal(second.taken.length, 0)
  bench.fail(undefined)
  assert.deepEqual(bench.run([...tokens, bench.order("c")]), [])
  assert.equal(bench.intents(), 3)
  assert.equal(second.taken[0]?.unsigned.length, 2)
  assert.equal(bench.signatures(), 1)
})

test("[ISS-06][ISS-13] a part is answered in order when the second thread has signed, and the digests are kept", async () => {
  const second = new FakeSecond()
  await using bench = await openBench(second)
  const results = bench.run([bench.token("a"), bench.order("b"), bench.token("c")])
  const signatures = [new Uint8Array(64).fill(1), new Uint8Array(64).fill(2)]
  second.taken[0]?.signed(signatures)
  assert.deepEqual(kinds(results), ["signed", "signed", "signed"])
  assert.ok(results[0]?.kind === "signed" && results[2]?.kind === "signed")
  assert.deepEqual([results[0].signature, results[2].signature], signatures)
  bench.desk.flush()
  const { tbs } = fixtureIntent("a")
  assert.deepEqual(bench.outcomes().map(({ serial, signature }) => [serial, signature])[2], [
    "c",
    new Uint8Array(digestSigned(tbs, signatures[1] ?? new Uint8Array())),
  ])
})

test("[ISS-06] what the second thread gives back is signed here, and nothing by a key that was let go of", async () => {
  const second = new FakeSecond()
  await using bench = await openBench(second)
  const before = bench.run([bench.token("a"), bench.token("b")])
  const forgotten = bench.run([{ kind: "forget-key", key: bench.key }])
  assert.deepEqual(kinds(before), ["signed", "signed"])
  assert.deepEqual(kinds(forgotten), ["done"])
  assert.equal(bench.signatures(), 2)
  assert.deepEqual(kinds(bench.run([bench.token("c"), bench.token("d")])), ["internal", "internal"])
  assert.equal(second.taken.length, 1)
})

test("[STO-09] a machine without room for another thread costs no token, and no store", async () => {
  let tries = 0
  const second = new SigningThread({ isHigh: true, lighten: () => undefined }, () => {
    tries++
    throw Object.assign(new Error("EAGAIN"), { code: "ERR_WORKER_INIT_FAILED" })
  })
  await using bench = await openBench(second)
  for (const group of ["a", "b"]) {
    const results = bench.run(Array.from({ length: 8 }, (_, index) => bench.token(`${group}${index}`)))
    assert.deepEqual(new Set(kinds(results)), new Set(["signed"]))
  }
  assert.deepEqual([bench.signatures(), tries], [16, 1])
  second.end()
})

/** A desk on this thread, with a key, over a store of its own. */
async function openBench(second?: SecondSigner) {
  const scratch = await makeScratch()
  const db = openDatabase(scratch.path("s.db"), "create")
  const keys = new CountingKeys()
  const made = keys.run({ kind: "make-key" })
  assert.ok(made.kind === "key")
  let failing: string | undefined
  const exec = db.exec.bind(db)
  db.exec = (sql) => {
    exec(sql === failing ? "ROLLBACK" : sql)
    if (sql === failing) throw Object.assign(new Error("disk I/O error"), { errcode: 1034 })
  }
  const desk = new OrderDesk(new CommitEngine(db), keys, second)
  return {
    db,
    desk,
    run: (jobs: readonly Job[]) => {
      const answered: JobResult[] = []
      desk.run([{ jobs, answer: (results) => answered.push(...results) }])
      return answered
    },
    key: made.key,
    fail: (statement: string | undefined) => {
      failing = statement
    },
    intents: () => db.prepare("SELECT count(*) AS intents FROM intent").get()?.["intents"],
    publicKey: createPublicKey({ key: Buffer.from(made.publicKey), format: "der", type: "spki" }),
    signatures: () => keys.signatures,
    outcomes: () => outcomesIn(db),
    order: (serial: string, change: Partial<Intent> = {}) => orderJob(fixtureIntent(serial, change), made.key),
    token: (serial: string) => orderJob(fixtureIntent(serial, { kind: "jwt" }), made.key),
    [Symbol.asyncDispose]: async () => {
      db.close()
      await scratch[Symbol.asyncDispose]()
    },
  }
}

/** Takes whatever there is, if it is two at least, and signs when it is told to. */
class FakeSecond implements SecondSigner {
  readonly taken: { readonly unsigned: readonly Unsigned[]; readonly signed: Signed }[] = []
  #given = 0

  take(unsigned: readonly Unsigned[], signed: Signed): boolean {
    if (unsigned.length < 2) return false
    this.taken.push({ unsigned, signed })
    return true
  }

  drain(): void {}

  recall(): void {
    for (const { signed } of this.taken.slice(this.#given)) signed(undefined)
    this.#given = this.taken.length
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
