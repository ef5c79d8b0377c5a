import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { makeSealMac } from "../../src/adapters/disk-keys/seal-mac.ts"
import { type MemoryStore, openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { openAuditReader } from "../../src/adapters/sqlite/audit-reader.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { MIGRATIONS } from "../../src/adapters/sqlite/schema.ts"
import { makeAuditSeals } from "../../src/app/audit/seal-audit.ts"
import { hashRecord } from "../../src/core/audit/chain.ts"
import type { AuditRecord } from "../../src/core/audit/record.ts"
import { type ChainBreak, ChainWalk, type WalkReport } from "../../src/core/audit/walk.ts"
import { Secret } from "../../src/core/secret.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FIXTURE_NOW, fixtureGrant } from "../support/issuance-fixtures.ts"
import { olderStore } from "../support/older-store.ts"
import { refusal } from "../support/refusal.ts"
import { makeScratch } from "../support/scratch.ts"

const ORIGIN = { trustDomain: "prod.example", incarnation: "a1".repeat(16) }
const SEALING_KEY = new Secret(new Uint8Array(32).fill(7))
const MAC = makeSealMac(SEALING_KEY)

test("[AUD-10] a hash is SHA-256 over the RFC 8785 text of the hash before, the place, and the record", async () => {
  const { records } = await chainOf(3)
  let before = createHash("sha256").digest("hex")
  for (const { sequence, at, type, actor, requestId, data, hash } of records) {
    const fields = [before, sequence, at, type, actor, requestId, JSON.parse(data)]
    before = createHash("sha256").update(canonicalize(fields)).digest("hex")
    assert.equal(hash, before)
  }
})

test("[AUD-11] a chain begins with a record that names trust domain and incarnation, and counts what was before", async () => {
  const { records } = await chainOf(1)
  const [first] = records
  assert.equal(first?.type, "audit.started")
  const nothing = createHash("sha256").digest("hex")
  assert.deepEqual(JSON.parse(first.data), { ...ORIGIN, before: 0, digest: nothing })
})

test("[AUD-11] a store that is older than chains is migrated; what it holds is sealed by the first record", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  olderStore(path, MIGRATIONS.slice(0, 2), 3)
  await using store = await openSqliteStore({ path, mode: "open" })
  await store.auditChain.start(ORIGIN, FIXTURE_NOW)
  await store.auditLog.append(fixtureGrant("new"))
  using reader = openAuditReader(path)
  const records = reader.read(0, 10)
  assert.deepEqual(
    records.map(({ sequence, hash }) => [sequence, hash === undefined]),
    [
      [1, true],
      [2, true],
      [3, true],
      [4, false],
      [5, false],
    ],
  )
  assert.deepEqual(walk(records).report.unchained, 3)
  for (const index of [0, 1, 2]) {
    const changed = records.map((one, i) => (i === index ? { ...one, actor: "nobody" } : one))
    assert.deepEqual(walk(changed).broken, at("changed", 4))
  }
})

const CHANGES: readonly (readonly [string, (records: AuditRecord[]) => readonly AuditRecord[], ChainBreak])[] = [
  ["another actor", (all) => all.map((one) => (one.sequence === 4 ? { ...one, actor: "x" } : one)), at("changed", 4)],
  ["another time", (all) => all.map((one) => (one.sequence === 4 ? { ...one, at: 1 } : one)), at("changed", 4)],
  ["other data", (all) => all.map((one) => (one.sequence === 4 ? { ...one, data: "{}" } : one)), at("changed", 4)],
  ["a record that is gone", (all) => all.filter(({ sequence }) => sequence !== 4), at("gap", 5)],
  ["a first record that is gone", (all) => all.slice(1), at("gap", 2)],
  ["a hash that was computed anew", (all) => all.map((one, i) => (i === 3 ? rehash(all, i) : one)), at("changed", 5)],
  [
    "records that changed places",
    (all) => [...all.slice(0, 3), ...renumber(all, 4, 3), ...all.slice(5)],
    at("changed", 4),
  ],
  ["one that is twice", (all) => [...all.slice(0, 4), ...all.slice(3)], at("gap", 4)],
  [
    "a hash that is gone",
    (all) => all.map((one, i) => (i === 3 ? { ...one, hash: undefined } : one)),
    at("unchained", 4),
  ],
]
for (const [what, change, expected] of CHANGES) {
  test(`[AUD-12] the walk stops at ${what}`, async () => {
    const { records } = await chainOf(8)
    assert.equal(walk(records).broken, undefined)
    assert.deepEqual(walk(change([...records])).broken, expected)
  })
}

test("[AUD-12] a part of a chain, such as a file that was rotated, is walked from its first record", async () => {
  const { records } = await chainOf(8)
  const part = records.slice(3)
  assert.equal(walk(part, { from: "middle" }).report.records, 6)
  const changed = part.map((one, i) => (i === 2 ? { ...one, actor: "x" } : one))
  assert.deepEqual(walk(changed, { from: "middle" }).broken, at("changed", 6))
})

test("[AUD-13] a chain that was written anew, hashes and all, is found by whoever has the sealing key", async () => {
  const { store, records } = await chainOf(5)
  await sealsOf(store).seal()
  const sealed = store.auditChain.records
  assert.deepEqual(seen(walk(sealed, key()).report), [1, 6])
  const forged = rewrite(records, (one) => ({ ...one, actor: "nobody" }))
  const seal = sealed.at(-1)
  assert.ok(seal !== undefined)
  assert.deepEqual(walk(rewrite([...forged, seal]), key()).broken, at("false-seal", 7))
  const kept = { ...JSON.parse(seal.data), hash: forged.at(-1)?.hash }
  const patched = rewrite([...forged, { ...seal, data: canonicalize(kept) }])
  assert.equal(walk(patched).broken, undefined)
  assert.deepEqual(walk(patched, key()).broken, at("false-seal", 7))
  assert.deepEqual(
    walk(sealed, { verifySeal: makeSealMac(new Secret(new Uint8Array(32))).verify }).broken,
    at("false-seal", 7),
  )
})

test("[AUD-13] a chain without the seals that it must have says how long nobody vouched for it", async () => {
  const { store, clock } = await chainOf(3)
  const seals = sealsOf(store)
  await seals.seal()
  await store.auditLog.append({ ...fixtureGrant("late"), at: clock.now() + 900 })
  await store.auditLog.append({ ...fixtureGrant("later"), at: clock.now() + 1800 })
  assert.equal(walk(store.auditChain.records, key()).report.unsealedFor, 900)
  await seals.seal()
  assert.equal(walk(store.auditChain.records, key()).report.unsealedFor, 0)
})

test("[AUD-13] a server seals at its start, each minute in which something was recorded, and at its end", async () => {
  const { store, clock } = await chainOf(1)
  const stop = new AbortController()
  const running = sealsOf(store, clock).run(stop.signal)
  await clock.advance(0)
  assert.equal(sealCount(store), 1)
  await clock.advance(60)
  assert.equal(sealCount(store), 1)
  await store.auditLog.append(fixtureGrant("x"))
  await clock.advance(60)
  assert.equal(sealCount(store), 2)
  await store.auditLog.append(fixtureGrant("y"))
  stop.abort()
  await running
  assert.equal(sealCount(store), 3)
})

test("[AUD-15] what was changed below a seal is never sealed over", async () => {
  const { store } = await chainOf(5)
  const seals = sealsOf(store)
  await seals.seal()
  const records = store.auditChain.records
  const sealed = records.at(-2)
  assert.ok(sealed !== undefined)
  records[records.length - 2] = { ...sealed, hash: "00".repeat(32) }
  await store.auditLog.append(fixtureGrant("later"))
  await store.auditLog.append(fixtureGrant("latest"))
  await assert.rejects(seals.seal(), refusal("not-ready", "audit-broken"))
  await assert.rejects(sealsOf(store).seal(), refusal("not-ready", "audit-broken"))
})

test("[AUD-15] seals that are gone, or of another key, are not replaced", async () => {
  const { store } = await chainOf(5)
  const seals = sealsOf(store)
  await seals.seal()
  const others = makeAuditSeals({ ...depsOf(store), mac: makeSealMac(new Secret(new Uint8Array(32))) })
  await store.auditLog.append(fixtureGrant("later"))
  await store.auditLog.append(fixtureGrant("latest"))
  await assert.rejects(others.seal(), refusal("not-ready", "audit-broken"))
  store.auditChain.records.splice(6)
  await assert.rejects(seals.seal(), refusal("not-ready", "audit-broken"))
})

interface Chain {
  readonly store: MemoryStore
  readonly clock: FakeClock
  readonly records: readonly AuditRecord[]
}

/** A start, and `count` grants. */
async function chainOf(count: number): Promise<Chain> {
  const store = openMemoryStore()
  await store.auditChain.start(ORIGIN, FIXTURE_NOW)
  for (let i = 0; i < count; i++) await store.auditLog.append(fixtureGrant(`a${i}`))
  return { store, clock: new FakeClock(FIXTURE_NOW), records: [...store.auditChain.records] }
}

function depsOf(store: MemoryStore, clock = new FakeClock(FIXTURE_NOW)) {
  const failed = (thrown: unknown): never => {
    throw thrown
  }
  return { chain: store.auditChain, audit: store.auditLog, origin: ORIGIN, mac: MAC, clock, failed }
}

function sealsOf(store: MemoryStore, clock?: FakeClock) {
  return makeAuditSeals(depsOf(store, clock))
}

function sealCount(store: MemoryStore): number {
  return store.events.filter(({ type }) => type === "audit.sealed").length
}

function key() {
  return { verifySeal: MAC.verify }
}

function seen({ seals, sealedUpTo }: WalkReport): readonly number[] {
  return [seals, sealedUpTo]
}

function walk(
  records: readonly AuditRecord[],
  options: Partial<ConstructorParameters<typeof ChainWalk>[0]> = {},
): { readonly broken: ChainBreak | undefined; readonly report: WalkReport } {
  const chain = new ChainWalk({ from: "start", ...options })
  for (const record of records) {
    const broken = chain.take(record)
    if (broken !== undefined) return { broken, report: chain.report() }
  }
  return { broken: undefined, report: chain.report() }
}

function at(kind: ChainBreak["kind"], sequence: number): ChainBreak {
  return { kind, sequence }
}

/** What somebody who can write the store but has no key can do: change records and compute every hash again. */
function rewrite(
  records: readonly AuditRecord[],
  change = (one: AuditRecord): AuditRecord => one,
): readonly AuditRecord[] {
  let head = { sequence: 0, hash: createHash("sha256").digest("hex") }
  return records.map((record, i) => {
    const changed = i === 2 ? change(record) : record
    head = { sequence: record.sequence, hash: hashRecord(head, changed) }
    return { ...changed, hash: head.hash }
  })
}

function rehash(records: readonly AuditRecord[], index: number): AuditRecord {
  return rewrite(records.map((one, i) => (i === index ? { ...one, actor: "x" } : one)))[index] ?? assert.fail()
}

function renumber(records: readonly AuditRecord[], ...indexes: readonly number[]): readonly AuditRecord[] {
  const first = Math.min(...indexes)
  return indexes.map((index, i) => ({ ...(records[index] ?? assert.fail()), sequence: first + i + 1 }))
}

/** RFC 8785, written here a second time. */
function canonicalize(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalize).join(",")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalize(member)}`).join(",")}}`
}
