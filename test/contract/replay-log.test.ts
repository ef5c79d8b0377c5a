import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { ReplayClaim } from "../../src/ports/replay-log.ts"
import { FIXTURE_NOW } from "../support/issuance-fixtures.ts"
import { STORES } from "../support/stores.ts"

for (const { name, open } of STORES) {
  describe(`replay log: ${name}`, () => {
    test("gives a proof to the first who claims it and to nobody after", async () => {
      await using store = await open()
      assert.equal(await store.replayLog.claim(claim("a")), "claimed")
      assert.equal(await store.replayLog.claim(claim("a")), "replayed")
      assert.equal(await store.replayLog.claim(claim("a", { until: FIXTURE_NOW + 9000 })), "replayed")
      assert.equal(await store.replayLog.claim(claim("b")), "claimed")
    })

    test("[INV-14] lets exactly one of 200 concurrent users of one proof win", async () => {
      await using store = await open()
      const outcomes = await Promise.all(Array.from({ length: 200 }, () => store.replayLog.claim(claim("same"))))
      assert.equal(outcomes.filter((outcome) => outcome === "claimed").length, 1)
      assert.equal(outcomes.filter((outcome) => outcome === "replayed").length, 199)
    })

    test("[INV-18] keeps the uses of a proof apart", async () => {
      await using store = await open()
      assert.equal(await store.replayLog.claim(claim("a", { use: "client-assertion" })), "claimed")
      assert.equal(await store.replayLog.claim(claim("a", { use: "assertion-grant" })), "claimed")
      assert.equal(await store.replayLog.claim(claim("a", { use: "client-assertion" })), "replayed")
    })

    test("tells ids apart that differ in their last character, in case, or in how they split", async () => {
      await using store = await open()
      const long = "x".repeat(4095)
      for (const id of [`${long}1`, `${long}2`, "A", "a", "a b", "ab", "\u0000", "\u0000\u0000"]) {
        assert.equal(await store.replayLog.claim(claim(id)), "claimed", id.slice(-4))
      }
    })

    test("takes an id that is empty or too long for a bug", async () => {
      await using store = await open()
      for (const id of ["", "x".repeat(4097)]) await assert.rejects(store.replayLog.claim(claim(id)), RangeError)
    })
  })
}

function claim(id: string, change: Partial<ReplayClaim> = {}): ReplayClaim {
  return { use: "dpop-proof", id, from: FIXTURE_NOW, until: FIXTURE_NOW + 90, ...change }
}
