import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { processKeys } from "../../src/adapters/process-keys/process-keys.ts"
import { encodeAuthority, parseAuthority } from "../../src/adapters/sqlite/authority-json.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { createTrustDomain } from "../../src/app/authority/create-trust-domain.ts"
import { openTrustState } from "../../src/app/authority/trust-state.ts"
import { makeWitnessedJournal } from "../../src/app/authority/witnessed-journal.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { AuthorityJournal } from "../../src/ports/authority-journal.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FakeKeyStore } from "../support/fake-keys.ts"
import { fakeBundle } from "../support/fake-view.ts"
import { NEVER, openIssueFixture, x509Request } from "../support/issue-fixture.ts"
import { refusal } from "../support/refusal.ts"
import { ALICE, openControlled, WISH } from "../support/rotation/controlled.ts"
import { until } from "../support/until.ts"

test("[AUT-01] a trust domain is made once; a second try leaves everything as it was", async () => {
  const { store, keys, clock, random, trust } = await openAuthorities()
  const before = trust.record()
  const [events, stored] = [store.events.length, await keys.list()]
  await assert.rejects(createTrustDomain(PLAN, { ...portsOf(store), keys, clock, random }), refusal("already-exists"))
  assert.deepEqual(await store.authorityJournal.read(), before)
  assert.deepEqual([store.events.length, await keys.list()], [events, stored])
  assert.deepEqual((await store.auditChain.state()).started, 1)
  assert.equal(before.roots.length, 1)
  const root = new X509Certificate(before.roots[0]?.certificate ?? "")
  assert.ok(root.ca && root.verify(root.publicKey))
})

test("[AUT-01] a store without a trust domain is not served from", async () => {
  await assert.rejects(openTrustState(openMemoryStore().authorityJournal), refusal("not-found"))
})

test("[AUT-02] each change that can be seen is a new epoch, also for the next process", async () => {
  const { store, trust } = await openAuthorities()
  const first = trust.snapshot()
  const changed = trust.changed(NEVER)
  await trust.update((record) => ({ ...record, epoch: record.epoch + 1 }))
  await changed
  assert.equal(trust.snapshot().epoch, first.epoch + 1)
  assert.equal(trust.snapshot().own.sequence, first.epoch + 1)
  const again = await openTrustState(store.authorityJournal)
  assert.equal(again.snapshot().epoch, first.epoch + 1)
  assert.equal(again.snapshot().incarnation, first.incarnation)
})

test("[AUT-02] federated bundles of equal content change nothing", async () => {
  const { trust } = await openAuthorities()
  await trust.setFederated([fakeBundle("other.example")])
  const { epoch } = trust.snapshot()
  await trust.setFederated([fakeBundle("other.example")])
  assert.equal(trust.snapshot().epoch, epoch)
  await trust.setFederated([])
  assert.deepEqual([trust.snapshot().epoch, trust.snapshot().federated], [epoch + 1, []])
})

test("[AUT-03] two writers at once: no change is lost", async () => {
  const { store, trust } = await openAuthorities()
  const other = await openTrustState(store.authorityJournal)
  const { epoch } = trust.snapshot()
  const grow = (writer: typeof trust) => writer.update((record) => ({ ...record, epoch: record.epoch + 1 }))
  await Promise.all([grow(trust), grow(other), grow(trust), grow(other)])
  assert.equal((await store.authorityJournal.read())?.epoch, epoch + 4)
  await grow(trust)
  assert.equal(trust.snapshot().epoch, epoch + 5)
})

for (const [fault, outcome] of [
  ["kept", "done"],
  ["lost", "failed"],
] as const) {
  test(`[AUT-03] a change whose write was ${fault}, though an error was told, is ${outcome} after it was read again`, async () => {
    const { store, trust } = await openAuthorities()
    const { epoch } = trust.snapshot()
    store.onWrite = () => fault
    const update = trust.update((record) => ({ ...record, epoch: record.epoch + 1 }))
    if (outcome === "failed") await assert.rejects(update, refusal("not-ready"))
    await update.catch(() => undefined)
    assert.equal(trust.snapshot().epoch, outcome === "done" ? epoch + 1 : epoch)
    assert.equal((await store.authorityJournal.read())?.epoch, trust.snapshot().epoch)
  })
}

test("[AUT-03] a rotation's write that was kept, though an error was told, is recognised as the store gives it back", async () => {
  const { fixture, operate, trust } = await openControlled({ rows: [] })
  const { authorityJournal: journal } = fixture.store
  const asSqlite: AuthorityJournal = {
    create: (record) => journal.create(record),
    adoptIssuing: (issuing) => journal.adoptIssuing(issuing),
    readIssuing: (authorityId) => journal.readIssuing(authorityId),
    read: async () => {
      const record = await journal.read()
      return record && parseAuthority(encodeAuthority(record))
    },
    replace: async (record) => {
      await journal.replace(record)
      throw new IdentityError("not-ready", "the outcome of the commit is unknown")
    },
  }
  await operate.start(WISH, ALICE)
  const writer = await openTrustState(asSqlite)
  const { rotations, epoch } = trust.record()
  const { phase: _, ...planned } = rotations.x509
  const stopped = { phase: "planned", ...planned, stopped: "disk full" } as typeof rotations.x509
  await writer.update((record) => ({ ...record, epoch: epoch + 1, rotations: { ...rotations, x509: stopped } }))
  assert.equal(writer.snapshot().epoch, epoch + 1)
})

test("[AUT-04] federated bundles that could not be published are published by the next try", async () => {
  const { store, trust } = await openAuthorities()
  store.onWrite = () => "lost"
  await assert.rejects(trust.setFederated([fakeBundle("other.example")]), refusal("not-ready"))
  assert.deepEqual(trust.snapshot().federated, [])
  store.onWrite = () => "none"
  await trust.setFederated([fakeBundle("other.example")])
  assert.equal(trust.snapshot().federated.length, 1)
})

test("[AUT-05] a write that is answered after a later one was begun does not bring back an older record", async () => {
  const { store } = await openAuthorities()
  const shown = Promise.withResolvers<void>()
  const late = Promise.withResolvers<void>()
  let answer = () => {
    shown.resolve()
    answer = () => Promise.resolve()
    return late.promise
  }
  const witness = { write: () => answer(), read: () => Promise.resolve(undefined) }
  const trust = await openTrustState(makeWitnessedJournal(store.authorityJournal, witness, assert.ifError, systemClock))
  const { epoch } = trust.snapshot()
  const grow = () => trust.update((record) => ({ ...record, epoch: record.epoch + 1 }))
  const first = grow()
  await shown.promise
  const second = grow()
  await Promise.race([second, setImmediate()])
  late.resolve()
  await Promise.all([first, second])
  assert.equal(trust.snapshot().epoch, epoch + 2)
})

test("[AUT-10] the issuing authority's key is in no store; journal and audit have it before it signs", async () => {
  const fixture = await openIssueFixture()
  const { authorityId, certificate, notAfter } = fixture.issuing.current()
  assert.deepEqual(
    (await fixture.keys.list()).map((id) => id.split("-")[0]),
    ["root", "jwt"],
  )
  assert.deepEqual((await fixture.store.authorityJournal.readIssuing(authorityId)).certificate, certificate)
  const adopted = fixture.store.events.find((event) => event.type === "authority.adopted")
  assert.ok(adopted?.type === "authority.adopted")
  assert.deepEqual([adopted.authority, adopted.notAfter], [authorityId, notAfter])
  for (const write of ["audit", "issuing"]) {
    fixture.store.onWrite = (kind) => (kind === write ? "lost" : "none")
    await assert.rejects(fixture.issuing.rotate(), refusal("not-ready"))
    assert.equal(fixture.issuing.current().authorityId, authorityId)
  }
})

test("[AUT-11] an authority that the published bundle does not verify is never adopted", async () => {
  const fixture = await openIssueFixture()
  const before = fixture.issuing.current()
  const [rootKey = ""] = await fixture.keys.list()
  fixture.keys.keys.set(rootKey, await processKeys.makeSigner("ec-p256"))
  for (let tries = 0; tries < 10; tries++) await assert.rejects(fixture.issuing.rotate())
  assert.equal(fixture.issuing.current(), before)
  assert.equal(fixture.issuingKeys.size, 1)
})

test("[AUT-12] it is replaced at half its life; bundles stay, and what was signed before still verifies", async () => {
  const fixture = await openIssueFixture({ issuingTtl: 10_000 })
  const stop = new AbortController()
  const running = fixture.issuing.run(stop.signal)
  const first = fixture.issuing.current()
  const svid = await fixture.issueX509(x509Request(), NEVER)
  const { epoch } = fixture.trust.snapshot()
  const half = (first.notAfter - fixture.clock.now()) / 2
  await fixture.clock.advance(half - 1)
  assert.equal(fixture.issuing.current(), first)
  await fixture.clock.untilSleeping(1)
  await fixture.clock.advance(61)
  await fixture.clock.untilSleeping(1)
  const second = fixture.issuing.current()
  assert.notEqual(second.authorityId, first.authorityId)
  assert.equal(fixture.trust.snapshot().epoch, epoch)
  const [leaf, issuer] = svid.chain.map((der) => new X509Certificate(der))
  const root = new X509Certificate(fixture.trust.snapshot().own.x509Authorities[0] ?? "")
  assert.ok(
    leaf !== undefined && issuer !== undefined && leaf.verify(issuer.publicKey) && issuer.verify(root.publicKey),
  )
  stop.abort()
  await running
})

test("[AUT-12] however far it is dated back, it is not replaced before half of its own time is over", async () => {
  const fixture = await openIssueFixture({ issuingTtl: 600 })
  const first = fixture.issuing.current()
  assert.ok(first.notBefore < fixture.clock.now() - 600)
  const stop = new AbortController()
  const running = fixture.issuing.run(stop.signal)
  try {
    await until("it waits", () => fixture.clock.sleeping > 0)
    assert.equal(fixture.issuing.current(), first)
  } finally {
    stop.abort()
    await running
  }
})

test("[AUT-13] when it cannot be replaced the one before signs on, and the next tries come ever more slowly", async () => {
  const failures: number[] = []
  const fixture = await openIssueFixture({ issuingTtl: 6400, stepFailed: () => failures.push(fixture.clock.now()) })
  const first = fixture.issuing.current()
  fixture.store.onWrite = (kind) => (kind === "issuing" ? "lost" : "none")
  const stop = new AbortController()
  const running = fixture.issuing.run(stop.signal)
  for (let i = 0; i < 200; i++) {
    await fixture.clock.untilSleeping(1)
    await fixture.clock.advance(20)
  }
  const pauses = failures.slice(1).map((at, i) => at - (failures[i] ?? 0))
  assert.ok(pauses.length >= 5 && pauses.every((pause, i) => pause >= (pauses[i - 1] ?? 0)), pauses.join(" "))
  assert.ok(Math.max(...pauses) <= 80)
  assert.equal(fixture.issuing.current(), first)
  fixture.store.onWrite = () => "none"
  for (let i = 0; i < 5; i++) {
    await fixture.clock.untilSleeping(1)
    await fixture.clock.advance(20)
  }
  assert.notEqual(fixture.issuing.current().authorityId, first.authorityId)
  stop.abort()
  await running
})

const PLAN = {
  trustDomain: parseTrustDomain("prod.example"),
  algorithm: "ec-p256",
  rootTtl: 86_400,
  subject: { commonName: "Test", organization: undefined },
  backdate: 0,
} as const

async function openAuthorities() {
  const store = openMemoryStore()
  const keys = new FakeKeyStore(() => undefined)
  const clock = new FakeClock(1_800_000_000)
  const random = makeSystemRandom()
  await createTrustDomain(PLAN, { ...portsOf(store), keys, clock, random })
  return { store, keys, clock, random, trust: await openTrustState(store.authorityJournal) }
}

function portsOf(store: ReturnType<typeof openMemoryStore>) {
  return { journal: store.authorityJournal, audit: store.auditLog, chain: store.auditChain }
}
