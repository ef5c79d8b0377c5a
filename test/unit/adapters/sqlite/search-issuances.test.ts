import assert from "node:assert/strict"
import type { DatabaseSync } from "node:sqlite"
import { after, before, describe, test } from "node:test"
import { openDatabase } from "../../../../src/adapters/sqlite/open-database.ts"
import { readCertificates } from "../../../../src/adapters/sqlite/read-certificates.ts"
import { searchIssuances } from "../../../../src/adapters/sqlite/search-issuances.ts"
import type { IssuanceQuery } from "../../../../src/ports/issuance-log.ts"
import { makeScratch, type Scratch } from "../../../support/scratch.ts"

describe("a log of 25,000 intents of 1500 recipients", () => {
  let scratch: Scratch
  let db: DatabaseSync
  before(async () => {
    scratch = await makeScratch()
    db = openDatabase(scratch.path("s.db"), "create")
    db.exec(FILL)
  })
  after(async () => {
    db.close()
    await scratch[Symbol.asyncDispose]()
  })

  for (const query of [
    { namespace: "common" },
    { namespace: "common", kind: "jwt" },
    { namespace: "common", unexpiredAt: 24_995 },
    { namespace: "common", since: 24_900, kind: "x509" },
    { namespace: "early" },
    { namespace: "early", kind: "jwt" },
    { namespace: "rare" },
    { cluster: "main" },
    { cluster: "main", namespace: "common", pod: "pod-17" },
    { spiffeId: "spiffe://prod.example/common" },
    { pod: "pod-3", kind: "jwt" },
    { podUid: "uid-17", since: 20_000 },
    { namespace: "nowhere" },
    { kind: "jwt", since: 10 },
    { serial: "serial-77", namespace: "common" },
    { serial: "serial-77", namespace: "rare" },
  ] satisfies readonly Partial<IssuanceQuery>[]) {
    for (const limit of [1, 7, 1000]) {
      test(`[STO-38] finds the newest ${limit} for ${JSON.stringify(query)}`, () => {
        const found = searchIssuances(db, { ...query, limit }).map(({ serial }) => serial)
        assert.deepEqual(found, plainSearch(db, query, limit))
      })
    }
  }

  test("[STO-38] takes a pod for one that has a certificate while that is among its newest 10,000 issuances", () => {
    const pod = { cluster: "main", namespace: "busy", pod: "busy", podUid: "busy" }
    const ask = () => readCertificates(db, [{ ...pod, now: 0 }])
    db.exec(
      `INSERT INTO recipient VALUES (9001, 'spiffe://prod.example/b', '', '', 'main', 'busy', '', 'busy', 'busy', '')`,
    )
    db.exec(fill(100_000, 100_000, "9001", "'x509'"))
    db.exec(fill(100_001, 109_999, "9001", "'jwt'"))
    assert.deepEqual(ask(), [true])
    db.exec(fill(110_000, 110_000, "9001", "'jwt'"))
    assert.deepEqual(ask(), [false])
  })
})

/** The same, by looking at everything. */
function plainSearch(db: DatabaseSync, query: Partial<IssuanceQuery>, limit: number): readonly unknown[] {
  const rows = db
    .prepare("SELECT * FROM intent JOIN recipient ON recipient.id = recipient ORDER BY intent.id DESC")
    .all()
  const { since = 0, unexpiredAt = -1, ...equal } = query
  const wanted = Object.entries(equal).map(([field, value]) => [COLUMN.get(field) ?? field, value] as const)
  return rows
    .filter((row) => wanted.every(([column, value]) => row[column] === value))
    .filter((row) => Number(row["created_at"]) >= since && Number(row["not_after"]) > unexpiredAt)
    .slice(0, limit)
    .map(({ serial }) => serial)
}

const COLUMN = new Map([
  ["spiffeId", "spiffe_id"],
  ["podUid", "pod_uid"],
])

/** Intents `from` to `to` by their number `n`, which is also when they were made and end. */
function fill(from: number, to: number, recipient: string, kind: string): string {
  return `WITH RECURSIVE counted (n) AS (SELECT ${from} UNION ALL SELECT n + 1 FROM counted WHERE n < ${to})
INSERT INTO intent (id, recipient, serial, kind, authority_id, epoch, not_before, not_after, created_at, evidence_digest, tbs)
SELECT n, ${recipient}, 'serial-' || n, ${kind}, 'a', 1, n, n, n, x'00', x'00' FROM counted;`
}

/** Pods 1 to 1400 are common and go on, 1401 to 1499 are of two namespaces that made nothing lately. */
const FILL = `WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 1500)
INSERT INTO recipient SELECT n, 'spiffe://prod.example/' || space, '', '', 'main', space, '', 'pod-' || (n % 700), 'uid-' || n, ''
FROM (SELECT n, CASE WHEN n <= 1400 THEN 'common' WHEN n < 1499 THEN 'early' ELSE 'rare' END AS space FROM counted);
${fill(1, 2000, "1401 + n % 99", "CASE n % 3 WHEN 0 THEN 'jwt' ELSE 'x509' END")}
${fill(2001, 25_000, "1 + n % 1400", "CASE n % 5 WHEN 0 THEN 'jwt' ELSE 'x509' END")}`
