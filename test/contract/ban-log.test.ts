import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { AuditEvent } from "../../src/core/audit/event.ts"
import { type Ban, type BanTarget, parseBanTarget } from "../../src/core/ban/ban.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent } from "../support/issuance-fixtures.ts"
import { STORES, type StoreUnderTest } from "../support/stores.ts"

const TARGETS: readonly BanTarget[] = [
  parseBanTarget("identity", "spiffe://prod.example/ns/shop/sa/web"),
  parseBanTarget("prefix", "spiffe://prod.example/ns/shop"),
  parseBanTarget("cluster", "eu-1"),
  parseBanTarget("namespace", "eu-1/shop"),
  parseBanTarget("node", "eu-1/node-7.example"),
  parseBanTarget("pod", "0f8fad5b-d9cb-469f-a165-70867728950e"),
  parseBanTarget("key", "ab".repeat(32)),
]
const [WEB = assert.fail()] = TARGETS

for (const { name, open } of STORES) {
  describe(`ban log: ${name}`, () => {
    test("gives back bans of every kind, in order, after any record", async () => {
      await using store = await open()
      const bans = TARGETS.map((target, index) => ban({ target, until: index === 0 ? undefined : FIXTURE_NOW + index }))
      for (const one of bans) await store.banLog.add(one, AUDIT)
      const { records, head } = await store.banLog.readAfter(0, 100)
      assert.deepEqual(
        records.map((record) => [record.ban, record.liftedAt]),
        bans.map((one) => [one, undefined]),
      )
      assert.equal(records.at(-1)?.sequence, head)
      assert.deepEqual(await store.banLog.readAfter(records[5]?.sequence ?? 0, 1), { records: [records[6]], head })
      assert.deepEqual(await store.banLog.readAfter(head, 10), { records: [], head })
    })

    test("never takes anything of a ban back that is in force", async () => {
      await using store = await open()
      await store.banLog.add(ban({ until: FIXTURE_NOW + 900 }), AUDIT)
      await store.banLog.add(ban({ until: FIXTURE_NOW + 60, createdAt: FIXTURE_NOW + 5, reason: "again" }), AUDIT)
      const [first] = (await store.banLog.readAfter(0, 10)).records
      assert.deepEqual(first?.ban, ban({ until: FIXTURE_NOW + 900, reason: "again" }))
      await store.banLog.add(ban({ until: undefined }), AUDIT)
      await store.banLog.add(ban({ until: FIXTURE_NOW + 60 }), AUDIT)
      const [, ...others] = (await store.banLog.readAfter(0, 10)).records
      assert.deepEqual(others, [])
      assert.equal((await store.banLog.readAfter(0, 10)).records[0]?.ban.until, undefined)
    })

    test("shows a lifted ban as a new record, and refuses to lift what is not in force", async () => {
      await using store = await open()
      await assert.rejects(store.banLog.lift(WEB, FIXTURE_NOW, AUDIT), { code: "not-found", reason: "ban-not-found" })
      await store.banLog.add(ban({ until: FIXTURE_NOW + 60 }), AUDIT)
      const { head } = await store.banLog.readAfter(0, 10)
      await store.banLog.lift(WEB, FIXTURE_NOW + 10, AUDIT)
      const lifted = await store.banLog.readAfter(head, 10)
      assert.deepEqual(
        lifted.records.map((record) => [record.ban.target, record.liftedAt]),
        [[WEB, FIXTURE_NOW + 10]],
      )
      await assert.rejects(store.banLog.lift(WEB, FIXTURE_NOW + 11, AUDIT), { code: "not-found" })
      await store.banLog.add(ban({ createdAt: FIXTURE_NOW + 20, until: FIXTURE_NOW + 30 }), AUDIT)
      assert.equal((await store.banLog.readAfter(0, 10)).records[0]?.ban.until, FIXTURE_NOW + 30)
      await assert.rejects(store.banLog.lift(WEB, FIXTURE_NOW + 30, AUDIT), { code: "not-found" })
    })

    test("records no intent of whoever has not seen the newest change", async () => {
      await using store = await open()
      const record = (serial: string, bansSeen: number) =>
        store.issuanceLog.recordIntent(fixtureIntent(serial), fixtureGrant(serial), FIXTURE_NOW, { bansSeen })
      await record("before", 0)
      await store.banLog.add(ban(), AUDIT)
      await assert.rejects(record("unseen", 0), { code: "conflict", reason: "bans-changed" })
      const { head } = await store.banLog.readAfter(0, 10)
      await record("seen", head)
      await store.banLog.lift(WEB, FIXTURE_NOW + 1, AUDIT)
      await assert.rejects(record("late", head), { code: "conflict", reason: "bans-changed" })
      const found = await store.issuanceLog.search({ limit: 10 })
      assert.deepEqual(found.map(({ intent }) => intent.serial).sort(), ["before", "seen"])
    })

    test("hands no earlier certificate out to whoever has not seen the newest change", async () => {
      await using store = await open()
      const intent = { ...fixtureIntent("one"), idempotencyKey: Buffer.alloc(32, 7) }
      const again = (serial: string, bansSeen: number) =>
        store.issuanceLog.recordIntent({ ...intent, serial }, fixtureGrant(serial), FIXTURE_NOW - 60, { bansSeen })
      await again("one", 0)
      store.issuanceLog.recordOutcome("one", Buffer.from("signature"))
      await store.issuanceLog.flush()
      assert.equal((await again("two", 0)).kind, "already-issued")
      await store.banLog.add(ban(), AUDIT)
      await assert.rejects(again("three", 0), { code: "conflict", reason: "bans-changed" })
    })

    test("orders a ban against the intents that are given at the same time", async () => {
      await using store = await open()
      const intents = await Promise.allSettled([
        ...recordMany(store, "a"),
        store.banLog.add(ban(), AUDIT).then(() => "banned"),
        ...recordMany(store, "b"),
      ])
      const found = await store.issuanceLog.search({ limit: 100 })
      const fulfilled = intents.filter(({ status }) => status === "fulfilled").length - 1
      assert.equal(found.length, fulfilled)
      await assert.rejects(Promise.all(recordMany(store, "c")), { code: "conflict" })
    })

    test("reads in pages, and takes a limit outside 1 to 10,000 for a bug", async () => {
      await using store = await open()
      for (const limit of [0, 10_001, 1.5]) await assert.rejects(store.banLog.readAfter(0, limit), RangeError)
    })
  })
}

function recordMany(store: StoreUnderTest, prefix: string): readonly Promise<unknown>[] {
  return [1, 2, 3, 4].map((n) => {
    const serial = `${prefix}${n}`
    return store.issuanceLog.recordIntent(fixtureIntent(serial), fixtureGrant(serial), FIXTURE_NOW, { bansSeen: 0 })
  })
}

function ban(change: Partial<Ban> = {}): Ban {
  return { target: WEB, reason: "leaked", actor: "test", createdAt: FIXTURE_NOW, until: undefined, ...change }
}

const AUDIT: AuditEvent = {
  type: "ban.added",
  at: FIXTURE_NOW,
  actor: "test",
  requestId: "r1",
  ban: "identity",
  name: "spiffe://prod.example/ns/shop/sa/web",
  reason: "leaked",
  until: 0,
}
