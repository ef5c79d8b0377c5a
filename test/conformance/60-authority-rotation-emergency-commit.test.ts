import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { EmergencyEpochs } from "../../src/adapters/sqlite/emergency-epochs.ts"
import { openSqliteStore, type SqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { issueAcrossEmergency } from "../../src/app/issue/hear-of-emergencies.ts"
import { authorityReplaced } from "../../src/core/authority/authority-replaced.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { verifySvidChain } from "../../src/core/x509/path.ts"
import type { AuthorityRecord } from "../../src/ports/authority-journal.ts"
import type { GuardedOrder } from "../../src/ports/intent-signer.ts"
import type { Intent } from "../../src/ports/issuance-log.ts"
import type { Signer } from "../../src/ports/keys.ts"
import { fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { jwtRequest, NEVER, openIssueFixture, x509Request } from "../support/issue-fixture.ts"
import { refusal } from "../support/refusal.ts"
import { assertRejected } from "../support/refused.ts"
import { ALICE, openControlled } from "../support/rotation/controlled.ts"
import { makeScratch } from "../support/scratch.ts"
import { STORES, type StoreUnderTest } from "../support/stores.ts"

const ALL = { by: "alice", reason: "stolen", consumers: "all" } as const
const STABLE: AuthorityRecord = {
  trustDomain: parseTrustDomain("prod.example"),
  incarnation: "a",
  revision: 1,
  epoch: 7,
  requiredEpoch: 7,
  roots: [],
  jwtKeys: [],
  rotations: { x509: { phase: "stable" }, jwt: { phase: "stable" } },
  controller: undefined,
}
const STOLEN: AuthorityRecord = { ...STABLE, revision: 2, epoch: 8, emergencyEpochs: { x509: 8 } }
const KEY = new Uint8Array(32).fill(1)

for (const { name, open } of STORES) {
  test(`[ROT-76] ${name}: after an emergency no intent is recorded, or answered with an earlier one, that is from before it`, async () => {
    await using store = await open()
    const { authorityJournal, issuanceLog } = store
    await authorityJournal.create(STABLE)
    assert.deepEqual(await record(store, "a", { idempotencyKey: KEY }), { kind: "recorded" })
    issuanceLog.recordOutcome("a", new Uint8Array(70))
    await issuanceLog.flush()
    assert.equal((await record(store, "b", { idempotencyKey: KEY })).kind, "already-issued")
    await authorityJournal.replace(STOLEN)
    await assertRejected(record(store, "c", { idempotencyKey: KEY }), "conflict", "authority-replaced")
    assert.deepEqual(await record(store, "d", { idempotencyKey: KEY, epoch: 8 }), { kind: "recorded" })
    assert.deepEqual(await record(store, "e", { kind: "jwt" }), { kind: "recorded" }, "the other kind goes on")
    await authorityJournal.replace({ ...STOLEN, revision: 3, epoch: 9, emergencyEpochs: { x509: 8, jwt: 9 } })
    await assertRejected(record(store, "f", { kind: "jwt", epoch: 8 }), "conflict", "authority-replaced")
    assert.deepEqual(await record(store, "g", { epoch: 8 }), { kind: "recorded" })
    const serials = (await issuanceLog.search({ limit: 10 })).map(({ intent }) => intent.serial)
    assert.deepEqual(serials.sort(), ["a", "d", "e", "g"])
  })
}

test("[ROT-76] an emergency that comes with orders in one group divides them, and the store's thread signs none behind it", async () => {
  await using scratch = await makeScratch()
  await using store = await openSqliteStore({ path: scratch.path("s.db"), mode: "create" })
  await store.authorityJournal.create(STABLE)
  const signer = await store.signing.makeSigner()
  const before = ["a", "b"].map((serial) => sign(store, signer, serial))
  const declared = store.authorityJournal.replace(STOLEN)
  const after = await Promise.allSettled(["c", "d"].map((serial) => sign(store, signer, serial)))
  await declared
  const signed = (await Promise.all(before)).map(({ kind }) => kind)
  assert.deepEqual(signed, ["signed", "signed"])
  for (const outcome of after) {
    assert.ok(outcome.status === "rejected" && refusal("conflict", "authority-replaced")(outcome.reason))
  }
})

test("[ROT-76] a record that came to nothing is no emergency, and the one that got its revision is", () => {
  using db = new DatabaseSync(":memory:")
  db.exec("CREATE TABLE authority (id INTEGER PRIMARY KEY, revision INTEGER, record TEXT)")
  const write = db.prepare("INSERT OR REPLACE INTO authority VALUES (1, ?, ?)")
  const put = (epoch: number) => write.run(2, JSON.stringify({ emergencyEpochs: { x509: epoch } }))
  const epochs = new EmergencyEpochs(db)
  assert.deepEqual([epochs.of("x509"), epochs.of("jwt")], [0, 0])
  write.run(1, "{}")
  db.exec("BEGIN")
  epochs.begin()
  put(8)
  assert.deepEqual([epochs.of("x509"), epochs.of("jwt")], [8, 0])
  db.exec("ROLLBACK")
  epochs.undone()
  put(9)
  epochs.begin()
  assert.equal(epochs.of("x509"), 9)
})

test("[ROT-76][ROT-38] a process that has not heard of an emergency gives a certificate of the new root, and none of the old one", async () => {
  const it = await openControlled({ rows: [] })
  const other = await openIssueFixture({ after: it.fixture })
  const unheard = other.trust.record().revision
  await it.operate.emergency(ALL, ALICE)
  assert.equal(other.trust.record().revision, unheard)
  const many = await Promise.all(Array.from({ length: 20 }, () => other.issueX509(x509Request(), NEVER)))
  const { own } = it.trust.snapshot()
  for (const { chain, epoch } of many) {
    verifySvidChain(chain, own, it.fixture.clock.now())
    assert.ok(epoch >= (it.trust.record().emergencyEpochs?.x509 ?? assert.fail()))
  }
  const recorded = await it.fixture.store.issuanceLog.search({ kind: "x509", limit: 100 })
  assert.equal(recorded.length, many.length, "one intent for each")
})

test("[ROT-76][ROT-63] a process that has not heard of an emergency of JWT keys gives a token of the new key", async () => {
  const it = await openControlled({ rows: [] }, { kind: "jwt" })
  const other = await openIssueFixture({ after: it.fixture })
  await it.operate.emergency(ALL, ALICE)
  const [, kid] = it.trust.record().jwtKeys.flatMap(({ state, kid: name }) => (state === "active" ? ["", name] : []))
  const { token } = await other.issueJwt(jwtRequest(), NEVER)
  const header: { readonly kid?: string } = JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString())
  assert.equal(header.kid, kid)
  const recorded = await it.fixture.store.issuanceLog.search({ kind: "jwt", limit: 10 })
  assert.deepEqual(
    recorded.map(({ intent }) => intent.authorityId),
    [kid],
  )
})

test("[ROT-76] the same request again, right after an emergency, is given no certificate of the old root", async () => {
  const it = await openControlled({ rows: [] })
  const request = x509Request()
  const before = await it.fixture.issueX509(request, NEVER)
  assert.equal((await it.fixture.issueX509(request, NEVER)).serial, before.serial)
  await it.operate.emergency(ALL, ALICE)
  const after = await it.fixture.issueX509(request, NEVER)
  verifySvidChain(after.chain, it.trust.snapshot().own, it.fixture.clock.now())
})

test("[ROT-76] who is overtaken by one emergency after another is told to come back, and is tried twice at most", async () => {
  let tries = 0
  const issue = async () => {
    tries++
    throw authorityReplaced()
  }
  await assert.rejects(issueAcrossEmergency(issue), { code: "not-ready", reason: "being-replaced", retryAfter: 1 })
  assert.equal(tries, 2)
})

function record({ issuanceLog }: StoreUnderTest, serial: string, change: Partial<Intent>) {
  return issuanceLog.recordIntent(fixtureIntent(serial, change), fixtureGrant(serial), 0, NO_BANS)
}

function sign({ signing }: SqliteStore, signer: Signer, serial: string) {
  const intent = fixtureIntent(serial)
  const subject = { ids: [intent.spiffeId], places: [], keys: [] }
  const order: GuardedOrder = {
    ...{ intent, decision: fixtureGrant(serial), reuseSince: intent.createdAt, subject, signer },
    ...{ form: "der", guards: NO_BANS },
  }
  return signing.signIntent(order)
}
