import assert from "node:assert/strict"
import { mkdtempDisposable, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import type { Bootstrap } from "../../../../src/adapters/identity-client/bootstrap.ts"
import { openIdentityClient } from "../../../../src/adapters/identity-client/open-identity-client.ts"
import { systemClock } from "../../../../src/adapters/system/clock.ts"
import { parseSpiffeId } from "../../../../src/core/spiffe/id.ts"
import { encodePem } from "../../../../src/core/x509/pem.ts"
import { startIdentityServer } from "../../../support/identity-server.ts"
import { quietLog } from "../../../support/quiet-log.ts"
import { makeTestCa, type TestCa } from "../../../support/test-ca.ts"

const SERVER = "spiffe://example.org/assay/server"
const ORDER = { spiffeId: parseSpiffeId("spiffe://example.org/a"), audience: ["db"] }
const never = new AbortController().signal

async function setUp(ca: TestCa) {
  const folder = await mkdtempDisposable(join(tmpdir(), "assay-client-"))
  const tokenFile = join(folder.path, "token")
  const bundleFile = join(folder.path, "bundle.pem")
  await writeFile(tokenFile, "token-1\n")
  await writeFile(bundleFile, encodePem("CERTIFICATE", ca.root.certificate.der))
  const open = (port: number, bootstrap: Bootstrap = { kind: "bundle-file", file: bundleFile }) =>
    openIdentityClient(
      {
        endpoint: { host: "127.0.0.1", port, trustDomain: ca.trustDomain, knownBy: "spiffe-id" },
        bootstrap,
        tokenFile,
        timeout: 5000,
        agent: { name: "test", version: "0" },
      },
      { clock: systemClock, log: quietLog },
    )
  return { folder, tokenFile, bundleFile, open }
}

test("reads the token anew for every call and sends it as bearer", async () => {
  const ca = makeTestCa()
  const { folder, tokenFile, open } = await setUp(ca)
  await using _folder = folder
  await using server = await startIdentityServer(ca, SERVER)
  await using client = open(server.port)
  const [outcome] = await client.issueJwt([ORDER], never)
  assert.equal(outcome?.kind, "issued")
  await writeFile(tokenFile, "token-2")
  await client.issueJwt([ORDER], never)
  assert.deepEqual(
    server.calls.map(({ authorization }) => authorization),
    ["Bearer token-1", "Bearer token-2"],
  )
})

test("refuses a server with another SPIFFE ID, and one of another root, before any token is sent", async () => {
  const ca = makeTestCa()
  const { folder, open } = await setUp(ca)
  await using _folder = folder
  await using imposter = await startIdentityServer(ca, "spiffe://example.org/assay/serverx")
  await using stranger = await startIdentityServer(makeTestCa(), SERVER)
  for (const server of [imposter, stranger]) {
    await using client = open(server.port)
    await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready", message: /not trusted/ })
    assert.deepEqual(server.calls, [])
  }
})

test("bootstraps again when the root was replaced while it was away", async () => {
  const ca = makeTestCa()
  const next = makeTestCa()
  const { folder, bundleFile, open } = await setUp(ca)
  await using _folder = folder
  await using server = await startIdentityServer(next, SERVER)
  await using client = open(server.port)
  await assert.rejects(client.issueJwt([ORDER], never), { code: "not-ready" })
  await writeFile(bundleFile, encodePem("CERTIFICATE", next.root.certificate.der))
  const [outcome] = await client.issueJwt([ORDER], never)
  assert.equal(outcome?.kind, "issued")
})

test("the insecure bootstrap fetches the bundle without the token, then verifies", async () => {
  const ca = makeTestCa()
  const { folder, open } = await setUp(ca)
  await using _folder = folder
  await using server = await startIdentityServer(ca, SERVER)
  await using client = open(server.port, { kind: "insecure" })
  await client.issueJwt([ORDER], never)
  assert.deepEqual(server.calls, [
    { method: "fetchBundle", authorization: undefined },
    { method: "batchIssueJwt", authorization: "Bearer token-1" },
  ])
})

test("a subscription says hello, gives the snapshot and carries the acknowledgement", async () => {
  const ca = makeTestCa()
  const { folder, open } = await setUp(ca)
  await using _folder = folder
  await using server = await startIdentityServer(ca, SERVER)
  await using client = open(server.port)
  const stop = new AbortController()
  const subscription = client.subscribe(stop.signal)
  for await (const update of subscription.updates) {
    assert.equal(update.kind, "snapshot")
    subscription.acknowledge(1, undefined)
    while (server.received.length < 2) await new Promise((resolve) => setImmediate(resolve))
    stop.abort()
  }
  assert.deepEqual(
    server.received.map(({ message }) => message?.$case),
    ["hello", "ack"],
  )
})
