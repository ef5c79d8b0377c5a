import assert from "node:assert/strict"
import { test } from "node:test"
import { openWorkload } from "../../../../src/main/demo/workload.ts"
import { makeJwtKey } from "../../../support/jwt-key.ts"
import { openLiveWorkload } from "../../../support/live-workload.ts"
import { makeTestCa } from "../../../support/test-ca.ts"

const WEB = "spiffe://example.org/ns/shop/sa/web"
const within = () => AbortSignal.timeout(60_000)

test("asks until there is a first SVID, and then counts what one stream brings", async () => {
  await using agent = await openLiveWorkload(WEB, makeTestCa(), makeJwtKey())
  agent.source.wait()
  await using workload = openWorkload(agent.socket)
  assert.throws(() => workload.current(), /no SVID yet/)
  agent.rotate()
  const first = await workload.reached(1, within())
  assert.equal(first.svid.spiffeId, WEB)
  const told: number[] = []
  using _listening = workload.onChange(({ update }) => told.push(update))
  agent.rotate()
  const second = await workload.reached(2, within())
  assert.equal(second.update, 2)
  assert.notEqual(second.leaf.serial, first.leaf.serial)
  assert.equal(workload.current(), second)
  assert.deepEqual(told, [2])
})

test("never opens a second stream: when the first one ends there is no current SVID any more", async () => {
  await using agent = await openLiveWorkload(WEB, makeTestCa(), makeJwtKey())
  await using workload = openWorkload(agent.socket)
  await workload.reached(1, within())
  agent.source.wait()
  await assert.rejects(workload.reached(2, within()), /stream has failed/)
  agent.rotate()
  assert.throws(() => workload.current(), /stream has failed/)
})

test("waits for a message no longer than it is told to", async () => {
  await using agent = await openLiveWorkload(WEB, makeTestCa(), makeJwtKey())
  await using workload = openWorkload(agent.socket)
  await workload.reached(1, within())
  await assert.rejects(workload.reached(2, AbortSignal.timeout(20)), { name: "TimeoutError" })
})
