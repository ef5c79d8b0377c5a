import assert from "node:assert/strict"
import { test } from "node:test"
import { receiveMessageOnPort } from "node:worker_threads"
import { parseHoldings } from "../../../../src/adapters/sqlite/read-holdings.ts"
import { readParts, sendParts } from "../../../../src/adapters/sqlite/row-parts.ts"

const POD = { cluster: "c", namespace: "n", service_account: "s", node: "n1", proof: "", root_key_id: "root" }

test("[STO-39] rows of 5000 holders are read a thousand at a time, with a turn of the event loop after each", async () => {
  const rows = Array.from({ length: 5000 }, (_, i) => {
    const times = { not_after: 100 + i, last_issued: 50 }
    return { ...POD, ...times, spiffe_id: "spiffe://prod.example/web", pod: `web-${i}`, pod_uid: `uid-${i}` }
  })
  let turns = 0
  const turn = (): void => {
    turns++
    next = setImmediate(turn)
  }
  let next = setImmediate(turn)
  const { held } = await parseHoldings(readParts(sendParts(rows)), [])
  clearImmediate(next)
  assert.deepEqual([held.length, held[0]?.notAfter, held.at(-1)?.notAfter], [5000, 100, 5099])
  assert.equal(turns, 5)
})

test("[STO-39] rows that are missing are an error, and no shorter list", async () => {
  const parts = sendParts(Array.from({ length: 2500 }, (_, i) => ({ i })))
  receiveMessageOnPort(parts.port)
  await assert.rejects(
    async () => {
      for await (const part of readParts(parts)) assert.ok(part.length > 0)
    },
    { code: "not-ready" },
  )
})

test("a port with nothing in it is read to its end", async () => {
  const parts: unknown[] = []
  for await (const part of readParts(sendParts([]))) parts.push(part)
  assert.deepEqual(parts, [])
})
