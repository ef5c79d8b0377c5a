import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { MIGRATIONS } from "../../src/adapters/sqlite/schema.ts"
import { describeFailure } from "../../src/main/command-failure.ts"
import type { Intent } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { olderStore } from "../support/older-store.ts"
import { makeScratch } from "../support/scratch.ts"

test("[STO-03][CFG-13] whoever goes back to an earlier version is told that, and not to try again", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  await (await openSqliteStore({ path, mode: "create" }))[Symbol.asyncDispose]()
  {
    using db = new DatabaseSync(path)
    db.exec(
      `PRAGMA user_version = ${MIGRATIONS.length + 1}; INSERT INTO migration VALUES (${MIGRATIONS.length + 1}, 'x')`,
    )
  }
  const opened: unknown = await openSqliteStore({ path, mode: "open" }).catch((thrown: unknown) => thrown)
  const { text, exitCode } = describeFailure(opened, { json: false, verbose: false })
  assert.match(text, /^assay: store-version: .*later version \(next: use the version of assay that wrote it/)
  assert.equal(exitCode, 1)
})

test("[STO-07] a store in which each intent said who its recipient is keeps all of them, their outcomes and lineages", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  olderStore(path, MIGRATIONS.slice(0, 9), 0)
  const requester = { ...fixtureIntent("").requester, pod: "", podUid: "", node: "" }
  const intents = [
    fixtureIntent("a"),
    fixtureIntent("b", { idempotencyKey: new Uint8Array(32).fill(4) }),
    fixtureIntent("c", { hint: "other" }),
    fixtureIntent("d", { kind: "jwt", requester }),
  ]
  insertOld(path, intents)
  await using store = await openSqliteStore({ path, mode: "open" })
  const found = await store.issuanceLog.search({ limit: 10 })
  assert.deepEqual(found.map(({ intent }) => intent).reverse(), intents)
  assert.deepEqual(found.at(0)?.signature, new Uint8Array(70).fill(3))
  // The lineage of "a" went on to "b"; who goes on from "a" again has a copied key.
  const renewal = { quoted: "a", key: "ff".repeat(20), isSole: false }
  const again = store.issuanceLog.recordIntent(fixtureIntent("e"), fixtureGrant("e"), FIXTURE_NOW, {
    ...NO_BANS,
    renewal,
  })
  await assert.rejects(again, { code: "policy-denied" })
})

/** As version 9 wrote them: "a" and "b" of one lineage, "d" with an outcome. */
function insertOld(path: string, intents: readonly Intent[]): void {
  using db = new DatabaseSync(path)
  const insert =
    db.prepare(`INSERT INTO intent (serial, kind, authority_id, epoch, spiffe_id, hint, rule, not_before, not_after,
    created_at, cluster, namespace, service_account, pod, pod_uid, node, evidence_digest, idempotency_key, tbs, lineage)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  for (const { requester, ...intent } of intents) {
    const { cluster, namespace, serviceAccount, pod, podUid, node, evidenceDigest } = requester
    const signed = [
      intent.serial,
      intent.kind,
      intent.authorityId,
      intent.epoch,
      intent.spiffeId,
      intent.hint,
      intent.rule,
    ]
    const times = [intent.notBefore, intent.notAfter, intent.createdAt]
    const asked = [cluster, namespace, serviceAccount, pod, podUid, node, evidenceDigest]
    const lineage = intent.serial === "b" ? 1 : null
    insert.run(...signed, ...times, ...asked, intent.idempotencyKey ?? null, intent.tbs, lineage)
  }
  db.prepare("INSERT INTO outcome (intent_id, signature) VALUES (4, ?)").run(new Uint8Array(70).fill(3))
  const { requester, spiffeId, notAfter } = fixtureIntent("a")
  db.prepare("INSERT INTO lineage VALUES (1, ?, ?, ?, 'b', '', ?, ?, 0)").run(
    requester.podUid,
    spiffeId,
    requester.cluster,
    "aa".repeat(20),
    notAfter,
  )
}
