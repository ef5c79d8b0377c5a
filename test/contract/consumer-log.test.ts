import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { ConsumerRecord } from "../../src/ports/consumers.ts"
import { fixtureConsumer } from "../support/consumer-fixtures.ts"
import { FIXTURE_NOW } from "../support/issuance-fixtures.ts"
import { STORES } from "../support/stores.ts"

for (const { name, open } of STORES) {
  describe(`consumer log: ${name}`, () => {
    test("gives back what was written, in the order of ids, in pages", async () => {
      await using store = await open()
      const records = ["c", "a", "b"].map((id) => fixtureConsumer({ id }))
      await store.consumerLog.write(records, [])
      assert.deepEqual(ids(await store.consumerLog.readAfter("", 10)), ["a", "b", "c"])
      assert.deepEqual(ids(await store.consumerLog.readAfter("a", 1)), ["b"])
      assert.deepEqual(await store.consumerLog.readAfter("c", 10), [])
    })

    test("keeps every field, set or not", async () => {
      await using store = await open()
      const set = fixtureConsumer({ id: "set", nackReason: "no roots", leftAt: FIXTURE_NOW, kind: "workload-api" })
      const holder = { ...set.holder, pod: "", podUid: "", proof: "0a".repeat(32) }
      const unset = fixtureConsumer({ id: "unset", holder })
      await store.consumerLog.write([set, unset], [])
      assert.deepEqual(await store.consumerLog.readAfter("", 10), [set, unset])
    })

    test("replaces by id, and forgets what is removed, in one write", async () => {
      await using store = await open()
      await store.consumerLog.write([fixtureConsumer({ id: "a" }), fixtureConsumer({ id: "b" })], [])
      const changed = fixtureConsumer({ id: "b", nackReason: "broken", lastContact: FIXTURE_NOW + 9 })
      for (let twice = 0; twice < 2; twice++) await store.consumerLog.write([changed], ["a", "never there"])
      assert.deepEqual(await store.consumerLog.readAfter("", 10), [changed])
    })

    test("takes a write of more than 1000, and a limit outside 1 to 10,000, for a bug", async () => {
      await using store = await open()
      const many = Array.from({ length: 1000 }, (_, n) => fixtureConsumer({ id: `c${n}` }))
      await store.consumerLog.write(many, [])
      await assert.rejects(store.consumerLog.write(many, ["one more"]), RangeError)
      for (const limit of [0, 10_001, 1.5]) await assert.rejects(store.consumerLog.readAfter("", limit), RangeError)
    })
  })
}

function ids(records: readonly ConsumerRecord[]): readonly string[] {
  return records.map(({ id }) => id)
}
