import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { copyFile, writeFile } from "node:fs/promises"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { openIdentityClient } from "../../src/adapters/identity-client/open-identity-client.ts"
import { processKeys } from "../../src/adapters/process-keys/process-keys.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { failureOf, IdentityPeer, provenKey } from "../support/identity-peer.ts"
import { FIXTURE_NOW } from "../support/issuance-fixtures.ts"
import { NEVER, x509Request } from "../support/issue-fixture.ts"
import { renew } from "../support/lineage-fixtures.ts"
import { quietLog } from "../support/quiet-log.ts"
import { refusal } from "../support/refusal.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeServerSetup, type ServerSetup } from "../support/server-setup.ts"
import { openPipelineUnderTest, openServerUnderTest } from "../support/server-under-test.ts"

test("[INV-31] a copied agent: whoever renews second is refused over the wire; operators find it, and a metric counts it", async () => {
  await using server = await openServerUnderTest()
  using agent = new IdentityPeer(server)
  using copy = new IdentityPeer(server)
  const token = server.setup.token()
  const ask = async (peer: IdentityPeer, renews: string) =>
    serialOf((await peer.x509({ key: provenKey(token), renews }, token)).chain)
  const first = await ask(agent, "")
  const second = await ask(agent, first)
  const refused = await failureOf(ask(copy, first))
  assert.deepEqual([refused.code, refused.reason], ["policy-denied", "lineage-violated"])
  const [result] = (await agent.batchX509([{ key: provenKey(token), renews: second }], token)).results
  assert.ok(result?.result?.$case === "problem")
  const { code, reason, next } = result.result.value
  assert.deepEqual([code, reason], ["policy-denied", "lineage-frozen"])
  assert.match(next, /^delete the pod/)
  const { registry } = server.metrics
  assert.match(await registry.metrics(), /^assay_lineage_violation_total 1$/m)
  assert.match(await registry.metrics(), /^assay_refused_total\{kind="x509",code="policy-denied"\} 2$/m)
  const search = ["audit", "search", "-c", server.setup.configFile, "--serial", first, "--type", "lineage.violated"]
  const found = JSON.parse((await runAssay([...search, "-o", "json"])).out)
  const text = JSON.stringify(found)
  assert.ok(text.includes(second) && text.includes(refused.requestId), text)
})

test("[LIN-10] an agent's client quotes the serial as the server knows it", async () => {
  await using server = await openServerUnderTest()
  await using scratch = await makeScratch()
  const [tokenFile, file] = [scratch.path("token"), scratch.path("roots.pem")]
  await Promise.all([writeFile(tokenFile, server.setup.token()), writeFile(file, server.roots)])
  const trustDomain = parseTrustDomain(server.setup.trustDomain)
  await using client = openIdentityClient(
    {
      endpoint: { host: "127.0.0.1", port: server.port, trustDomain, knownBy: "spiffe-id" },
      bootstrap: { kind: "bundle-file", file },
      tokenFile,
      timeout: 30_000,
      agent: { name: "test", version: "0" },
    },
    { clock: systemClock, log: quietLog },
  )
  const spiffeId = parseSpiffeId("spiffe://prod.example/ns/shop/sa/web")
  const ask = async (renews?: string) => {
    const key = await processKeys.makeWorkloadKey("ec-p256")
    const [outcome] = await client.issueX509([{ spiffeId, key, renews }], NEVER)
    if (outcome?.kind !== "issued") throw outcome?.error ?? assert.fail("no outcome")
    return outcome.value.serial
  }
  const first = await ask()
  await ask(await ask(first))
  await assert.rejects(ask(first), { code: "policy-denied", reason: "lineage-violated", next: /^delete the pod/ })
})

test("[INV-31] a quote that is no serial is malformed", async () => {
  await using server = await openServerUnderTest()
  using peer = new IdentityPeer(server)
  const token = server.setup.token()
  for (const renews of ["0", "AB", "01:ab", "a".repeat(41)]) {
    const { code } = await failureOf(peer.x509({ key: provenKey(token), renews }, token))
    assert.equal(code, "malformed", renews)
  }
})

test("[AUD-22] a running server finds by a serial its grant, who renewed it, and the incident", async () => {
  await using server = await openAdminUnderTest()
  const token = server.setup.token()
  const ask = (renews: string | undefined) => server.pipeline.issueX509(x509Request({ token, renews }), NEVER)
  const { serial } = await ask(undefined)
  await ask(serial)
  await assert.rejects(ask(serial))
  const { body } = await server.raw({ path: `/admin/v1/audit?serial=${serial}` })
  const types = [...JSON.stringify(body).matchAll(/"type":"([a-z.]+)"/g)].map(([, type]) => type)
  assert.deepEqual(types, ["lineage.violated", "svid.granted", "svid.granted"])
  assert.equal((await server.raw({ path: `/admin/v1/issuances?serial=${serial}` })).status, 200)
})

test("[LIN-03] of 200 who renew one certificate at once, one has it", async () => {
  await using server = await openPipelineUnderTest({ config: { limits: { identity_burst: 1000 } } })
  const token = server.setup.token()
  const ask = (renews: string | undefined) => server.pipeline.issueX509(x509Request({ token, renews }), NEVER)
  const { serial } = await ask(undefined)
  const outcomes = await Promise.allSettled(Array.from({ length: 200 }, () => ask(serial)))
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1)
  await server.state.store.issuanceLog.flush()
  const { intents, outcomes: signed } = counts(server.setup)
  assert.equal(intents - signed, 0)
})

test("[LIN-05] a server that was restarted knows its lineages; one whose store was restored accuses nobody", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  const token = setup.token()
  let init = true
  const ask = async (...quotes: readonly (string | undefined)[]): Promise<string> => {
    await using server = await openPipelineUnderTest({ setup, init })
    init = false
    let serial: string | undefined
    for (const quoted of quotes) {
      const request = x509Request({ token, renews: quoted ?? serial })
      serial = (await server.pipeline.issueX509(request, NEVER)).serial
    }
    return serial ?? assert.fail()
  }
  const first = await ask(undefined)
  const store = scratch.path("assay.db")
  await copyFile(store, scratch.path("backup.db"))
  const third = await ask(first, undefined)
  await copyFile(scratch.path("backup.db"), store)
  const fourth = await ask(third)
  await assert.rejects(ask(fourth, fourth), refusal("policy-denied", "lineage-violated"))
})

test("[LIN-05] certificates of a version without lineages are gone on from, also by several agents of a pod", async () => {
  await using server = await openPipelineUnderTest()
  const token = server.setup.token()
  const ask = async (renews: string | undefined) =>
    (await server.pipeline.issueX509(x509Request({ token, renews }), NEVER)).serial
  const before = [await ask(undefined), await ask(undefined)]
  alter(server.setup, "UPDATE intent SET lineage = NULL; DELETE FROM lineage")
  const after = [await ask(before[0]), await ask(before[1])]
  await ask(after[0])
  await ask(after[1])
  await assert.rejects(ask(after[0]), refusal("policy-denied", "lineage-violated"))
})

test("[LIN-07] lineages are forgotten when their last certificate ended; broken ones stay for 90 days more", async () => {
  await using scratch = await makeScratch()
  await using store = await openSqliteStore({ path: scratch.path("store.db"), mode: "create" })
  const log = store.issuanceLog
  const pod = { podUid: "pod-0" }
  for (let i = 0; i < 5; i++) await renew(log, `a${i}`, undefined, "k", { podUid: `pod-${i}` })
  await renew(log, "b0", "a0", "k", pod)
  await assert.rejects(renew(log, "b1", "a0", "other", pod))
  const ends = FIXTURE_NOW + 3600
  const prune = async (before: number) => {
    let gone = 0
    for (let i = 0; i < 4; i++) gone += (await store.pruneLineages(before, 3)).rows
    return gone
  }
  assert.equal(await prune(ends), 0)
  assert.equal(await prune(ends + 1), 4)
  assert.equal(await prune(ends + 90 * 86_400), 0)
  await assert.rejects(renew(log, "b2", undefined, "k", pod), refusal("policy-denied", "lineage-frozen"))
  assert.equal(await prune(ends + 90 * 86_400 + 1), 1)
  await renew(log, "c0", "b0", "k", pod)
})

function serialOf([leaf]: readonly Buffer[]): string {
  return new X509Certificate(leaf ?? assert.fail("no chain")).serialNumber.toLowerCase()
}

function counts(setup: ServerSetup): { readonly intents: number; readonly outcomes: number } {
  using db = new DatabaseSync(setup.parse({}).storage.sqlite, { readOnly: true, timeout: 10_000 })
  const one = db.prepare("SELECT (SELECT count(*) FROM intent) AS intents, (SELECT count(*) FROM outcome) AS outcomes")
  const row = one.get()
  return { intents: Number(row?.["intents"]), outcomes: Number(row?.["outcomes"]) }
}

/** As another process could. */
function alter(setup: ServerSetup, sql: string): void {
  using db = new DatabaseSync(setup.parse({}).storage.sqlite, { timeout: 10_000 })
  db.exec(sql)
}
