import assert from "node:assert/strict"
import { test } from "node:test"
import { measureConsumers } from "../../src/main/server/consumer-metrics.ts"
import { consumersList } from "../../src/transports/admin/consumer-operations.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { envoyReport, pod, WEB_0 } from "../support/evidence-under-test.ts"
import { runAssay } from "../support/run-assay.ts"
import { openPipelineUnderTest } from "../support/server-under-test.ts"

test("[EVD-09] consumers are counted by kind and grade, and those that are behind or refuse beside", async () => {
  await using server = await openPipelineUnderTest()
  const { subscribers, trust } = server.pipeline
  const { epoch } = trust.snapshot()
  using entry = subscribers.enter("agent", WEB_0, "agent")
  entry.sent(epoch)
  entry.acknowledged(epoch, undefined)
  entry.reported([envoyReport(epoch), envoyReport(0, { name: "other", nackReason: "no roots" })])
  measureConsumers(server.metrics, server.pipeline)
  const text = await server.metrics.registry.metrics()
  assert.match(text, /^assay_consumer_live{kind="sds",grade="sds-ack"} 2$/m)
  assert.match(text, /^assay_consumer_live{kind="agent",grade="subscription-ack"} 1$/m)
  assert.match(text, /^assay_consumer_behind{kind="sds"} 1$/m)
  assert.match(text, /^assay_consumer_refusing{kind="sds"} 1$/m)
  entry.reported([])
  measureConsumers(server.metrics, server.pipeline)
  assert.match(await server.metrics.registry.metrics(), /^assay_consumer_gone 2$/m)
})

test("[EVD-10] operators see every row, those that refused first, by filters that must all match", async () => {
  await using server = await openAdminUnderTest()
  const { subscribers, trust } = server.pipeline
  const { epoch } = trust.snapshot()
  using entry = subscribers.enter("agent", WEB_0, "agent")
  using other = subscribers.enter("other", pod("web-1"), "agent")
  entry.sent(epoch)
  entry.acknowledged(epoch, undefined)
  entry.reported([envoyReport(epoch), envoyReport(0, { name: "refuses", nackReason: "no roots" })])
  other.reported([])
  const ask = async (input: Record<string, string>) =>
    consumersList.response.parse(await server.client.call({ method: "GET", path: "/consumers", input }, ALWAYS))
  const all = await ask({})
  assert.equal(all.total, 4)
  assert.deepEqual([all.consumers[0]?.nack_reason, all.consumers[0]?.grade], ["no roots", "sds-ack"])
  assert.equal((await ask({ kind: "sds", pod: "web-0" })).total, 2)
  assert.equal((await ask({ kind: "sds", pod: "web-1" })).total, 0)
  assert.equal((await ask({ behind: String(epoch) })).total, 2)
  const first = await ask({ limit: "1" })
  assert.deepEqual([first.consumers.length, first.total], [1, 4])
  await assert.rejects(ask({ limit: "1001" }), { code: "malformed" })
  const table = await runAssay([
    "consumers",
    "list",
    "--admin-socket",
    server.admin.socket,
    "--kind",
    "sds",
    "--limit",
    "1",
  ])
  assert.equal(table.code, 0, table.err)
  assert.match(
    table.out,
    /^IDENTITY +POD +KIND +EPOCH +GRADE +HOLDS UNTIL +REFUSED\n.* web-0 +sds +0 +sds-ack .* no roots\n$/,
  )
  assert.match(table.err, /^there are 1 more: a higher --limit/)
})

const ALWAYS = new AbortController().signal
