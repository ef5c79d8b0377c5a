import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { test } from "node:test"
import { credentials } from "@grpc/grpc-js"
import { type JWTSVIDResponse, SpiffeWorkloadAPIClient } from "../../src/gen/spiffe/workload.ts"
import { startAgentProcess } from "../support/agent-process.ts"
import { showLogsOnFailure } from "../support/peers/child.ts"
import { makeScratch } from "../support/scratch.ts"
import { openServerUnderTest } from "../support/server-under-test.ts"
import { StreamReader, secured, unary } from "../support/workload-peer.ts"

test("[WE-07] of a thousand streams and one on one connection the last is Unavailable, and other calls are answered", async (t) => {
  await using server = await openServerUnderTest()
  await using folder = await makeScratch("crowded")
  const bundleFile = folder.path("roots.pem")
  await writeFile(bundleFile, server.roots)
  const { trustDomain } = server.setup
  const place = { name: "crowded", folder: folder.path("agent"), trustDomain, server: server.address, bundleFile }
  await using agent = await startAgentProcess({ ...place, token: server.setup.token() })
  showLogsOnFailure(t, agent)
  const client = new SpiffeWorkloadAPIClient(`unix:${agent.socket}`, credentials.createInsecure())
  await using stack = new AsyncDisposableStack()
  const open = () => stack.use(new StreamReader(client.fetchX509Bundles({}, secured())))
  const readers = Array.from({ length: 1024 }, open)
  await Promise.all(readers.map((reader) => reader.next()))
  await assert.rejects(open().next(), { code: 14, details: "too many open streams" })
  const deadline = Date.now() + 30_000
  const request = { audience: ["db"], spiffeId: "" }
  const jwts = await unary<JWTSVIDResponse>((done) => client.fetchJwtsvid(request, secured(), { deadline }, done))
  assert.equal(jwts.svids.length, 1)
  await stack.disposeAsync()
  client.close()
})
