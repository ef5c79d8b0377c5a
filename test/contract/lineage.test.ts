import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { MAX_LINEAGES } from "../../src/core/lineage/lineage.ts"
import { parseWorkloadId } from "../../src/core/spiffe/id.ts"
import { FIXTURE_NOW } from "../support/issuance-fixtures.ts"
import { renew } from "../support/lineage-fixtures.ts"
import { refusal } from "../support/refusal.ts"
import { STORES } from "../support/stores.ts"

const VIOLATED = refusal("policy-denied", "lineage-violated")
const FROZEN = refusal("policy-denied", "lineage-frozen")

for (const { name, open } of STORES) {
  describe(`lineages: ${name}`, () => {
    test("goes on from the newest certificate, however often", async () => {
      await using store = await open()
      await renew(store.issuanceLog, "c0", undefined)
      for (let i = 1; i < 10; i++) {
        assert.deepEqual(await renew(store.issuanceLog, `c${i}`, `c${i - 1}`), { kind: "recorded" })
      }
    })

    test("gives an answer that was lost again to the same key, as often as it is lost", async () => {
      await using store = await open()
      await renew(store.issuanceLog, "c0", undefined)
      for (const serial of ["c1", "c2", "c3"]) await renew(store.issuanceLog, serial, "c0", "one key")
      await renew(store.issuanceLog, "c4", "c3")
      await assert.rejects(renew(store.issuanceLog, "c5", "c2", "one key"), VIOLATED)
    })

    test("lets one of 200 who renew the same certificate at once have it, and then nobody", async () => {
      await using store = await open()
      await renew(store.issuanceLog, "c0", undefined)
      const all = Array.from({ length: 200 }, (_, i) => renew(store.issuanceLog, `r${i}`, "c0"))
      const outcomes = await Promise.allSettled(all)
      const refused = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason] : []))
      assert.equal(refused.length, 199)
      assert.equal(refused.filter((error) => isRefusal(error, VIOLATED)).length, 1)
      assert.equal(refused.filter((error) => isRefusal(error, FROZEN)).length, 198)
      assert.equal((await store.issuanceLog.search({ limit: 1000 })).length, 2)
    })

    test("freezes the identity of the pod, with a quote or without, and nothing else", async () => {
      await using store = await open()
      await renew(store.issuanceLog, "c0", undefined)
      await renew(store.issuanceLog, "other", undefined)
      await renew(store.issuanceLog, "c1", "c0")
      await assert.rejects(renew(store.issuanceLog, "x1", "c0"), VIOLATED)
      for (const quoted of ["c0", "c1", "other", undefined]) {
        await assert.rejects(renew(store.issuanceLog, "x2", quoted), FROZEN)
      }
      await renew(store.issuanceLog, "p2", undefined, "k", { podUid: "pod-2" })
      const spiffeId = parseWorkloadId("spiffe://prod.example/ns/shop/sa/api")
      await renew(store.issuanceLog, "i2", undefined, "k", { intent: { spiffeId } })
    })

    test("refuses a certificate of another pod or identity, or a token, and freezes nobody", async () => {
      await using store = await open()
      await renew(store.issuanceLog, "c0", undefined)
      await renew(store.issuanceLog, "p0", undefined, "k", { podUid: "pod-2" })
      await assert.rejects(renew(store.issuanceLog, "x1", "p0"), VIOLATED)
      await renew(store.issuanceLog, "c1", "c0")
      await renew(store.issuanceLog, "p1", "p0", "k1", { podUid: "pod-2" })
    })

    test("begins with a certificate that the log does not have, or that is in no lineage, and knows it from then on", async () => {
      await using store = await open()
      await renew(store.issuanceLog, "c1", "from before the backup", "k1")
      await renew(store.issuanceLog, "c2", "from before the backup", "k1")
      await renew(store.issuanceLog, "c3", "c2")
      await assert.rejects(renew(store.issuanceLog, "c4", "c2"), VIOLATED)
    })

    test("forgets the lineage that ends first when there are too many, and lets it begin anew", async () => {
      await using store = await open()
      for (let i = 0; i <= MAX_LINEAGES; i++) {
        await renew(store.issuanceLog, `b${i}`, undefined, "k", { intent: { notAfter: FIXTURE_NOW + 100 + i } })
      }
      await renew(store.issuanceLog, "again", "b0", "k2", { intent: { notAfter: FIXTURE_NOW + 1000 } })
      await renew(store.issuanceLog, "kept", `b${MAX_LINEAGES}`)
      await assert.rejects(renew(store.issuanceLog, "x", `b${MAX_LINEAGES}`), VIOLATED)
    })

    test("lets whoever begins take the place of all before, where a pod has one agent", async () => {
      await using store = await open()
      const sole = { isSole: true }
      await renew(store.issuanceLog, "c0", undefined, "k0", sole)
      await renew(store.issuanceLog, "c1", undefined, "k1", sole)
      await renew(store.issuanceLog, "c2", "c1", "k2", sole)
      await renew(store.issuanceLog, "c3", "unknown", "k3", sole)
      await renew(store.issuanceLog, "c4", "unknown", "k3", sole)
      await assert.rejects(renew(store.issuanceLog, "c5", "c2", "k5", sole), VIOLATED)
      await assert.rejects(renew(store.issuanceLog, "c6", undefined, "k6", sole), FROZEN)
    })

    test("moves nothing when the intent is not recorded", async () => {
      await using store = await open()
      await renew(store.issuanceLog, "c0", undefined)
      await renew(store.issuanceLog, "taken", undefined, "k", { podUid: "pod-2" })
      await assert.rejects(renew(store.issuanceLog, "taken", "c0"), refusal("already-exists"))
      await renew(store.issuanceLog, "c1", "c0", "another key")
    })
  })
}

function isRefusal(error: unknown, is: (error: unknown) => boolean): boolean {
  try {
    return is(error)
  } catch {
    return false
  }
}
