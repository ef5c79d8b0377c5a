import assert from "node:assert/strict"
import { test } from "node:test"
import { never, ORDER, SERVER, setUpClient } from "../../../support/identity-client-under-test.ts"
import { startIdentityServer } from "../../../support/identity-server.ts"
import { makeTestCa } from "../../../support/test-ca.ts"
import { until } from "../../../support/until.ts"

test("a subscription says hello, gives the snapshot and carries the acknowledgement", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  await using server = await startIdentityServer(ca, SERVER)
  await using client = setup.open(server.port)
  const stop = new AbortController()
  const subscription = client.subscribe(stop.signal)
  for await (const update of subscription.updates) {
    assert.equal(update.kind, "snapshot")
    subscription.acknowledge(1, undefined)
    await until("the acknowledgement", () => server.received.length === 2)
    stop.abort()
  }
  assert.deepEqual(
    server.received.map(({ message }) => message?.$case),
    ["hello", "ack"],
  )
})

test("an answer with fewer results than orders is no answer", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  await using server = await startIdentityServer(ca, SERVER, {
    batchIssueJwt: (_, reply) => reply(null, { results: [] }),
  })
  await using client = setup.open(server.port)
  await assert.rejects(client.issueJwt([ORDER], never), { code: "malformed" })
})

test("one item of a batch that failed does not hide the others", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  const problem = { code: "no-identity", message: "not you", reason: "no-rule", retryAfterSeconds: 0, next: "" }
  const issued = { spiffeId: ORDER.spiffeId, svid: "token", hint: "", expiresAt: 1 }
  await using server = await startIdentityServer(ca, SERVER, {
    batchIssueJwt: (_, reply) =>
      reply(null, {
        results: [{ result: { $case: "problem", value: problem } }, { result: { $case: "issued", value: issued } }],
      }),
  })
  await using client = setup.open(server.port)
  const outcomes = await client.issueJwt([ORDER, ORDER], never)
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.kind === "failed" ? outcome.error.code : outcome.value.token)),
    ["no-identity", "token"],
  )
})
