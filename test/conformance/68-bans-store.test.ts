import assert from "node:assert/strict"
import { test } from "node:test"
import { openSqliteStore, type SqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { openBanView } from "../../src/app/ban/ban-view.ts"
import { guardBans } from "../../src/app/ban/guard-bans.ts"
import type { SigningOrder } from "../../src/ports/intent-signer.ts"
import type { Signer } from "../../src/ports/keys.ts"
import { banishing } from "../support/ban-order.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { assertRejected } from "../support/refused.ts"
import { makeScratch } from "../support/scratch.ts"

const WEB = "spiffe://prod.example/ns/shop/sa/web"
const OTHER = "spiffe://prod.example/ns/shop/sa/other"

test("[BAN-05] the store's thread signs no order of whoever has not seen the newest ban", async () => {
  await using bench = await openBench()
  const { signing } = bench.store
  const unseen = { ...bench.order("a"), guards: NO_BANS }
  assert.equal((await signing.signIntent(unseen)).kind, "signed")
  await bench.one.ban("identity", OTHER)
  await assertRejected(signing.signIntent({ ...bench.order("b"), guards: NO_BANS }), "conflict", "bans-changed")
  assert.deepEqual(await bench.serials(), ["a"])
  const { head } = await bench.store.banLog.readAfter(0, 10)
  assert.equal((await signing.signIntent({ ...bench.order("c"), guards: { bansSeen: head } })).kind, "signed")
})

test("[BAN-05] a replica that has not heard of a ban signs nothing in the store's thread for the banned", async () => {
  await using bench = await openBench()
  assert.equal((await bench.signAsOther(bench.order("a"))).kind, "signed")
  await bench.one.ban("identity", OTHER)
  assert.equal((await bench.signAsOther(bench.order("b"))).kind, "signed")
  await bench.one.ban("identity", WEB)
  await assertRejected(bench.signAsOther(bench.order("c")), "policy-denied", "banned")
  assert.deepEqual(await bench.serials(), ["a", "b"])
})

test("[BAN-05] a ban that comes with orders in one group divides them", async () => {
  await using bench = await openBench()
  const sign = (serial: string) => bench.store.signing.signIntent({ ...bench.order(serial), guards: NO_BANS })
  const before = ["a", "b"].map(sign)
  const banned = bench.one.ban("identity", OTHER)
  const after = await Promise.allSettled(["c", "d"].map(sign))
  await banned
  const signed = (await Promise.all(before)).map(({ kind }) => kind)
  assert.deepEqual(signed, ["signed", "signed"])
  assert.deepEqual(
    after.map(({ status }) => status),
    ["rejected", "rejected"],
  )
})

test("[BAN-04] a store that is opened again has its bans, their numbers and their end", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  const clock = new FakeClock(FIXTURE_NOW)
  {
    await using store = await openSqliteStore({ path, mode: "create" })
    const { ban, lift } = banishing(await viewOf(store, clock), clock)
    await ban("identity", WEB, FIXTURE_NOW + 60)
    await ban("cluster", "east")
    await lift("cluster", "east")
  }
  await using store = await openSqliteStore({ path, mode: "open" })
  const bans = await viewOf(store, clock)
  assert.equal(bans.head, 3)
  const forces = bans.inForce().map(({ ban }) => [ban.target.kind, ban.until])
  assert.deepEqual(forces, [["identity", FIXTURE_NOW + 60]])
})

test("[BAN-03] only bans that ended long enough ago are forgotten, and their numbers are never given again", async () => {
  await using bench = await openBench()
  const { ban, lift } = bench.one
  await ban("identity", WEB)
  await ban("identity", OTHER, FIXTURE_NOW + 60)
  await ban("cluster", "east", FIXTURE_NOW + 600)
  await lift("cluster", "east")
  const names = async () => (await bench.store.banLog.readAfter(0, 10)).records.map(({ ban: one }) => one.target.kind)
  assert.equal((await bench.store.pruneBans(FIXTURE_NOW, 10)).rows, 0)
  assert.equal((await bench.store.pruneBans(FIXTURE_NOW + 1, 10)).rows, 1)
  assert.deepEqual(await names(), ["identity", "identity"])
  assert.equal((await bench.store.pruneBans(FIXTURE_NOW + 61, 10)).rows, 1)
  assert.equal((await bench.store.pruneBans(FIXTURE_NOW + 1_000_000, 10)).rows, 0)
  const { records, head } = await bench.store.banLog.readAfter(0, 10)
  assert.deepEqual([records.map(({ sequence }) => sequence), head], [[1], 4])
  await ban("cluster", "east")
  assert.equal((await bench.store.banLog.readAfter(0, 10)).head, 5)
})

/** One store with two replicas: `one` bans, the other signs and is told nothing. */
async function openBench() {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(await makeScratch())
  const store = stack.use(await openSqliteStore({ path: scratch.path("s.db"), mode: "create" }))
  const signer = await store.signing.makeSigner()
  const clock = new FakeClock(FIXTURE_NOW)
  const bans = await viewOf(store, clock)
  const events = { refused: () => undefined }
  const moved = stack.move()
  return {
    store,
    one: banishing(await viewOf(store, clock), clock),
    signAsOther: guardBans({ sign: store.signing.signIntent, bans, audit: store.auditLog, clock, events }),
    order: (serial: string) => orderOf(serial, signer),
    serials: async () => (await store.issuanceLog.search({ limit: 10 })).map(({ intent }) => intent.serial).sort(),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

function orderOf(serial: string, signer: Signer): SigningOrder {
  const intent = fixtureIntent(serial)
  const { cluster, namespace, podUid, node } = intent.requester
  const subject = { ids: [intent.spiffeId], places: [{ cluster, namespace, podUid, node }], keys: [] }
  return { intent, decision: fixtureGrant(serial), reuseSince: FIXTURE_NOW, subject, signer, form: "der" }
}

function viewOf(store: SqliteStore, clock: FakeClock) {
  return openBanView({ log: store.banLog, clock, steady: () => true, onReadFailed: assert.ifError })
}
