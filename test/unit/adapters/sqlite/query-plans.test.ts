import assert from "node:assert/strict"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import type { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { CommitEngine } from "../../../../src/adapters/sqlite/commit-engine.ts"
import { findRequesters } from "../../../../src/adapters/sqlite/find-requesters.ts"
import { openDatabase } from "../../../../src/adapters/sqlite/open-database.ts"
import { readCertificates } from "../../../../src/adapters/sqlite/read-certificates.ts"
import { readHoldingRows } from "../../../../src/adapters/sqlite/read-holdings.ts"
import { readKeyHolderRows } from "../../../../src/adapters/sqlite/read-key-holders.ts"
import { searchAudit } from "../../../../src/adapters/sqlite/search-audit.ts"
import { searchIssuances } from "../../../../src/adapters/sqlite/search-issuances.ts"
import type { IssuanceQuery } from "../../../../src/ports/issuance-log.ts"
import { makeScratch } from "../../../support/scratch.ts"
import { intentOperation } from "../../../support/store-faults.ts"

const SOURCE = join(import.meta.dirname, "../../../../src/adapters/sqlite")

test("what commits looks at all rows of small tables alone, and at the end of the audit log", async () => {
  const scans = await scansOf((db) => new CommitEngine(db))
  assert.deepEqual(scans, [
    "audit_event", // the newest
    "audit_event USING INDEX audit_event_sealed", // the newest of them, as the next
    "audit_event USING INDEX audit_event_started",
    "ban", // 10,000 at most, at a pruning
    "ban USING COVERING INDEX sqlite_autoindex_ban_1",
    "federated_bundle USING INDEX sqlite_autoindex_federated_bundle_1", // one for each trust domain
    "proposal", // 64 that wait and 1000 that were settled
    "revocation USING COVERING INDEX revocation_until", // counted at the start and after a pruning, as the next
    "spent_proof USING COVERING INDEX spent_proof_until",
    "sqlite_sequence",
  ])
})

test("what adds up the log begins with the issuing authorities, and looks at what has not expired", async () => {
  const scans = await scansOf((db) => [readHoldingRows(db, 1), readKeyHolderRows(db, ["x"], 1)])
  assert.deepEqual(scans, ["issuer"])
})

test("[STO-38] whether a pod has a certificate is looked for in what is of that pod", async () => {
  const pod = { cluster: "c", namespace: "n", pod: "p", podUid: "u", now: 1 }
  assert.deepEqual(await scansOf((db) => readCertificates(db, [pod])), [])
})

test("[STO-38] who asked for something is looked for by its serial", async () => {
  assert.deepEqual(await scansOf((db) => findRequesters(db, ["a"])), [])
})

test("a search of the audit log goes by its sequence", async () => {
  assert.deepEqual(await scansOf((db) => searchAudit(db, { spiffeId: "x", limit: 10 })), [])
})

for (const query of [
  {},
  { serial: "a", namespace: "n" },
  { spiffeId: "x" },
  { cluster: "c" },
  { cluster: "c", namespace: "n" },
  { cluster: "c", namespace: "n", pod: "p", podUid: "u", kind: "x509", unexpiredAt: 1 },
  { kind: "jwt", since: 1 },
] satisfies readonly Partial<IssuanceQuery>[]) {
  test(`[STO-38] a search for ${JSON.stringify(query)} goes by an index, or by age`, async () => {
    assert.deepEqual(await scansOf((db) => searchIssuances(db, { ...query, limit: 10 })), [])
  })
}

for (const query of [
  { namespace: "n" },
  { namespace: "n", pod: "p", kind: "x509" },
  { pod: "p" },
  { podUid: "u" },
] satisfies readonly Partial<IssuanceQuery>[]) {
  test(`[STO-38] a search for ${JSON.stringify(query)} looks at all recipients, and at no intent of others`, async () => {
    for (const scan of await scansOf((db) => searchIssuances(db, { ...query, limit: 10 })))
      assert.match(scan, /^(recipient|found)\b/)
  })
}

test("every file with statements is looked at here, or says why not", async () => {
  const files = (await readdir(SOURCE)).filter((name) => name.endsWith(".ts"))
  const texts = await Promise.all(files.map((name) => readFile(join(SOURCE, name), "utf8")))
  assert.deepEqual(
    files.filter((_, i) => texts[i]?.includes(".prepare(")).sort(),
    [...LOOKED_AT, ...Object.keys(NOT_LOOKED_AT)].sort(),
  )
})

/** Tables of which the statements that `prepare` makes look at all rows, with the index by which they do. */
async function scansOf(prepare: (db: DatabaseSync) => unknown): Promise<readonly string[]> {
  await using scratch = await makeScratch()
  using db = openDatabase(scratch.path("s.db"), "create")
  new CommitEngine(db).run([intentOperation("a")])
  const found = new Set<string>()
  const plain = db.prepare.bind(db)
  db.prepare = (sql) => {
    const steps = plain(`EXPLAIN QUERY PLAN ${sql}`).all()
    for (const step of steps) found.add(String(step["detail"]))
    return plain(sql)
  }
  prepare(db)
  const scans = [...found].filter((detail) => detail.startsWith("SCAN ")).map((detail) => detail.slice("SCAN ".length))
  return scans.filter((scan) => !MADE_BY_THE_STATEMENT.test(scan)).sort()
}

const MADE_BY_THE_STATEMENT = /^(CONSTANT ROW|\(subquery-\d+\)|candidate|signer|json_each VIRTUAL TABLE .*)$/
const LOOKED_AT = [
  "audit-statements.ts",
  "ban-statements.ts",
  "commit-engine.ts",
  "consumer-statements.ts",
  "emergency-epochs.ts",
  "federated-statements.ts",
  "find-requesters.ts",
  "intent-pruning.ts",
  "lineage-rows.ts",
  "lineage-statements.ts",
  "proof-statements.ts",
  "proposal-statements.ts",
  "read-certificates.ts",
  "read-holdings.ts",
  "read-key-holders.ts",
  "recent-keys.ts",
  "recipients.ts",
  "search-audit.ts",
  "search-issuances.ts",
  "statements.ts",
]
const NOT_LOOKED_AT = {
  "audit-reader.ts": "a page of the log by its sequence",
  "backup-store.ts": "checks all of a copy",
  "migrate.ts": "before anybody is served",
  "open-database.ts": "before anybody is served",
  "read-authority.ts": "one row",
  "read-kept-bundles.ts": "one row for each trust domain",
}
