import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { parseWorkloadId } from "../../src/core/spiffe/id.ts"
import type { IssuanceLog } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { refusal } from "../support/refusal.ts"
import { STORES } from "../support/stores.ts"

const SIGNATURE = new Uint8Array(70).fill(7)
const KEY = new Uint8Array(32).fill(1)

for (const { name, open } of STORES) {
  describe(`issuance log: ${name}`, () => {
    test("finds an intent as it was recorded, without a signature until its outcome is written", async () => {
      await using store = await open()
      const intent = fixtureIntent("a1", { idempotencyKey: KEY, hint: "internal" })
      assert.deepEqual(await record(store.issuanceLog, "a1", intent), { kind: "recorded" })
      assert.deepEqual(await store.issuanceLog.search({ serial: "a1", limit: 1 }), [{ intent, signature: undefined }])
      store.issuanceLog.recordOutcome("a1", SIGNATURE)
      await store.issuanceLog.flush()
      assert.deepEqual(await store.issuanceLog.search({ serial: "a1", limit: 1 }), [{ intent, signature: SIGNATURE }])
    })

    test("refuses a serial that was used before and keeps the first intent", async () => {
      await using store = await open()
      await record(store.issuanceLog, "a1", fixtureIntent("a1", { rule: "first" }))
      await assert.rejects(
        record(store.issuanceLog, "a1", fixtureIntent("a1", { rule: "second" })),
        refusal("already-exists"),
      )
      const found = await store.issuanceLog.search({ limit: 10 })
      assert.deepEqual(
        found.map((one) => one.intent.rule),
        ["first"],
      )
    })

    test("lets one of many concurrent writers have a serial, and fails nobody else", async () => {
      await using store = await open()
      const wanted = [...Array.from({ length: 20 }, () => "same"), ...Array.from({ length: 20 }, (_, i) => `own${i}`)]
      const outcomes = await Promise.allSettled(wanted.map((serial) => record(store.issuanceLog, serial)))
      assert.equal(outcomes.filter((outcome) => outcome.status === "rejected").length, 19)
      const refused = outcomes.flatMap((o) => (o.status === "rejected" ? [o.reason] : []))
      assert.ok(refused.every(refusal("already-exists")))
      assert.equal((await store.issuanceLog.search({ limit: 1000 })).length, 21)
    })

    test("hands out what the same request was given before", async () => {
      await using store = await open()
      const first = fixtureIntent("a1", { idempotencyKey: KEY })
      await record(store.issuanceLog, "a1", first)
      store.issuanceLog.recordOutcome("a1", SIGNATURE)
      const again = await record(store.issuanceLog, "a2", fixtureIntent("a2", { idempotencyKey: KEY }))
      assert.deepEqual(again, { kind: "already-issued", intent: first, signature: SIGNATURE })
      assert.deepEqual(await store.issuanceLog.search({ serial: "a2", limit: 1 }), [])
    })

    test("does not reuse an intent that has no outcome, is too old, or has another key or none", async () => {
      await using store = await open()
      const other = new Uint8Array(32).fill(2)
      await record(store.issuanceLog, "unsigned", fixtureIntent("unsigned", { idempotencyKey: KEY }))
      await record(
        store.issuanceLog,
        "old",
        fixtureIntent("old", { idempotencyKey: other, createdAt: FIXTURE_NOW - 1 }),
      )
      await record(store.issuanceLog, "keyless")
      for (const serial of ["old", "keyless"]) store.issuanceLog.recordOutcome(serial, SIGNATURE)
      for (const [serial, idempotencyKey] of [
        ["b1", KEY],
        ["b2", other],
        ["b3", new Uint8Array(32).fill(3)],
        ["b4", undefined],
      ] as const) {
        const result = await record(store.issuanceLog, serial, fixtureIntent(serial, { idempotencyKey }))
        assert.deepEqual(result, { kind: "recorded" }, serial)
      }
    })

    test("keeps the first signature of a serial and ignores one without an intent", async () => {
      await using store = await open()
      await record(store.issuanceLog, "a1")
      store.issuanceLog.recordOutcome("a1", SIGNATURE)
      store.issuanceLog.recordOutcome("a1", new Uint8Array(70))
      store.issuanceLog.recordOutcome("nobody", SIGNATURE)
      await store.issuanceLog.flush()
      const found = await store.issuanceLog.search({ limit: 10 })
      assert.deepEqual(
        found.map((one) => one.signature),
        [SIGNATURE],
      )
    })

    test("searches by each field, by all of them together, newest first and up to the limit", async () => {
      await using store = await open()
      const { requester } = fixtureIntent("")
      const changes = [
        {},
        { spiffeId: parseWorkloadId("spiffe://prod.example/ns/shop/sa/api") },
        { requester: { ...requester, cluster: "west" } },
        { requester: { ...requester, namespace: "bank" } },
        { requester: { ...requester, pod: "other" } },
        { kind: "jwt" as const },
        { createdAt: FIXTURE_NOW + 5 },
      ]
      for (const [i, change] of changes.entries())
        await record(store.issuanceLog, `s${i}`, fixtureIntent(`s${i}`, change))
      const serials = async (query: Omit<Parameters<IssuanceLog["search"]>[0], "limit">, limit = 100) =>
        (await store.issuanceLog.search({ ...query, limit })).map((one) => one.intent.serial)
      assert.deepEqual(await serials({}), ["s6", "s5", "s4", "s3", "s2", "s1", "s0"])
      assert.deepEqual(await serials({}, 2), ["s6", "s5"])
      assert.deepEqual(await serials({ serial: "s3" }), ["s3"])
      assert.deepEqual(await serials({ spiffeId: "spiffe://prod.example/ns/shop/sa/api" }), ["s1"])
      assert.deepEqual(await serials({ cluster: "west" }), ["s2"])
      assert.deepEqual(await serials({ namespace: "bank" }), ["s3"])
      assert.deepEqual(await serials({ pod: "other" }), ["s4"])
      assert.deepEqual(await serials({ kind: "jwt" }), ["s5"])
      assert.deepEqual(await serials({ since: FIXTURE_NOW + 5 }), ["s6"])
      assert.deepEqual(await serials({ cluster: "east", namespace: "shop", pod: "other", kind: "x509" }), ["s4"])
      assert.deepEqual(await serials({ cluster: "east' OR '1'='1" }), [])
    })

    test("[STO-39] tells a thousand who ask at once who asked for a serial", async () => {
      await using store = await open()
      const requester = { ...fixtureIntent("b").requester, node: "another" }
      await record(store.issuanceLog, "a")
      await record(store.issuanceLog, "b", fixtureIntent("b", { requester }))
      const asked = Array.from({ length: 1000 }, (_, i) =>
        store.issuanceLog.findRequester(["a", "b", "c"][i % 3] ?? ""),
      )
      const found = await Promise.all(asked)
      assert.deepEqual(found.slice(-3), [requester, undefined, fixtureIntent("a").requester])
      assert.equal(found.filter((one) => one === undefined).length, 333)
    })

    test("refuses a search limit outside 1 to 1001", async () => {
      await using store = await open()
      for (const limit of [0, 1002, 1.5, Number.NaN]) {
        await assert.rejects(store.issuanceLog.search({ limit }), refusal("malformed"), String(limit))
      }
    })
  })
}

function record(log: IssuanceLog, serial: string, intent = fixtureIntent(serial)) {
  return log.recordIntent(intent, fixtureGrant(serial), FIXTURE_NOW, NO_BANS)
}
