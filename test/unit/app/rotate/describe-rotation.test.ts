import assert from "node:assert/strict"
import { test } from "node:test"
import type { ConsumerRow } from "../../../../src/core/authority/evidence.ts"
import { openControlled } from "../../../support/rotation/controlled.ts"
import { consumer } from "../../../support/rotation/rows.ts"

test("[ROT-51] a plan sorts a thousand holders in a hundred namespaces by looking at each a few times", async () => {
  let reads = 0
  const rows = Array.from({ length: 1000 }, (_, i): ConsumerRow => {
    const row = consumer(`web-${i}`, { grade: i < 10 ? "lease" : "sds-ack", notAfter: Number.MAX_SAFE_INTEGER })
    return {
      ...row,
      get namespace() {
        reads++
        return `n${i % 100}`
      },
    }
  })
  const { describe } = await openControlled({ rows })
  const { namespaces } = await describe.plan()
  assert.deepEqual([namespaces.length, namespaces[0]?.namespace, namespaces.at(-1)?.namespace], [100, "n0", "n99"])
  assert.ok(namespaces.every(({ holders }) => holders === 10))
  assert.deepEqual(
    namespaces.filter(({ neverAcknowledge }) => neverAcknowledge > 0).map(({ namespace }) => namespace),
    Array.from({ length: 10 }, (_, i) => `n${i}`),
  )
  assert.ok(reads < 5000, `${reads} reads`)
})
