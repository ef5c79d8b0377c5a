import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { AuditEvent } from "../../src/core/audit/event.ts"
import { parseWorkloadId } from "../../src/core/spiffe/id.ts"
import type { Revocation } from "../../src/ports/revocations.ts"
import { FIXTURE_NOW } from "../support/issuance-fixtures.ts"
import { STORES } from "../support/stores.ts"

const WEB = parseWorkloadId("spiffe://prod.example/ns/shop/sa/web")

for (const { name, open } of STORES) {
  describe(`revocation log: ${name}`, () => {
    test("gives back what was recorded, in order, after any record", async () => {
      await using store = await open()
      const revocations = [token("a"), subject(FIXTURE_NOW), token("b")]
      for (const revocation of revocations) await store.revocationLog.record(revocation, AUDIT)
      const records = await store.revocationLog.readAfter(0, 100)
      assert.deepEqual(
        records.map(({ revocation }) => revocation),
        revocations,
      )
      const numbers = records.map(({ sequence }) => sequence)
      assert.deepEqual(
        numbers,
        [...numbers].sort((a, b) => a - b),
      )
      const after = await store.revocationLog.readAfter(numbers[0] ?? 0, 1)
      assert.deepEqual(after, [records[1]])
      assert.deepEqual(await store.revocationLog.readAfter(numbers[2] ?? 0, 10), [])
    })

    test("shows a second revocation as a new record that takes nothing of the first back", async () => {
      await using store = await open()
      await store.revocationLog.record(subject(FIXTURE_NOW, FIXTURE_NOW + 900), AUDIT)
      await store.revocationLog.record(token("a", FIXTURE_NOW + 900), AUDIT)
      const [, last] = await store.revocationLog.readAfter(0, 10)
      await store.revocationLog.record(subject(FIXTURE_NOW - 50, FIXTURE_NOW + 950), AUDIT)
      await store.revocationLog.record(token("a", FIXTURE_NOW + 1), AUDIT)
      const seen = await store.revocationLog.readAfter(last?.sequence ?? 0, 10)
      assert.deepEqual(
        seen.map(({ revocation }) => revocation),
        [subject(FIXTURE_NOW, FIXTURE_NOW + 950), token("a", FIXTURE_NOW + 900)],
      )
      assert.equal((await store.revocationLog.readAfter(0, 10)).length, 2)
    })

    test("reads in pages, and takes a limit outside 1 to 10,000 for a bug", async () => {
      await using store = await open()
      for (const id of ["a", "b", "c"]) await store.revocationLog.record(token(id), AUDIT)
      const [first] = await store.revocationLog.readAfter(0, 1)
      assert.equal((await store.revocationLog.readAfter(first?.sequence ?? 0, 2)).length, 2)
      for (const limit of [0, 10_001, 1.5]) await assert.rejects(store.revocationLog.readAfter(0, limit), RangeError)
    })
  })
}

function token(tokenId: string, until = FIXTURE_NOW + 300): Revocation {
  return { kind: "token", tokenId, until }
}

function subject(issuedUntil: number, until = FIXTURE_NOW + 300): Revocation {
  return { kind: "subject", subject: WEB, issuedUntil, until }
}

const AUDIT: AuditEvent = {
  type: "subject.revoked",
  at: FIXTURE_NOW,
  actor: "spiffe://prod.example/ns/security/sa/responder",
  requestId: "r1",
  subject: WEB,
  issuedUntil: FIXTURE_NOW,
}
