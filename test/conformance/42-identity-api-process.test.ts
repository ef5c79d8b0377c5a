import assert from "node:assert/strict"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { connect } from "node:http2"
import { after, test } from "node:test"
import { credentials } from "@grpc/grpc-js"
import { HealthClient, HealthCheckResponse_ServingStatus as Serving } from "../../src/gen/grpc/health/v1/health.ts"
import { failureOf, IdentityPeer, JWT } from "../support/identity-peer.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { openServerUnderTest } from "../support/server-under-test.ts"
import { Subscriber } from "../support/subscriber.ts"
import { until } from "../support/until.ts"

const scratch = await makeScratch()
after(() => scratch[Symbol.asyncDispose]())
const setup = await makeServerSetup(scratch.directory, { drain: { timeout: "20s" } })
const { roots } = await initTrustDomain(setup)
const server = await startServerProcess(setup)
after(() => server[Symbol.asyncDispose]())
const peer = new IdentityPeer({ address: server.address, roots })
after(() => peer[Symbol.dispose]())
const token = setup.token()
const drain = { timeout: "20s" }

test("[IDA-30] the process says that it is ready, shows its metrics, and nothing else", async () => {
  const status = async (path: string, method = "GET") => (await fetch(server.healthUrl + path, { method })).status
  assert.deepEqual([await status("/live"), await status("/ready"), await status("/other")], [200, 200, 404])
  assert.equal(await status("/metrics", "POST"), 405)
  const metrics = await (await fetch(`${server.healthUrl}/metrics`)).text()
  assert.match(metrics, /^assay_bundle_epoch \d+$/m)
})

test("[IDA-31] a changed file takes effect at SIGHUP for new requests and live subscribers", async () => {
  using subscriber = new Subscriber(peer, token)
  subscriber.hello()
  await subscriber.snapshot()
  await setup.write({ drain, rules: [{ name: "moved", spiffe_id: "/moved" }] })
  server.signal("SIGHUP")
  assert.equal((await subscriber.snapshot(2)).identities[0]?.spiffeId, "spiffe://prod.example/moved")
  assert.equal((await peer.jwt({}, token)).spiffeId, "spiffe://prod.example/moved")
  await setup.write({ drain, clusters: [] })
  server.signal("SIGHUP")
  await until("the cluster is gone", () => server.log().split('"configuration adopted"').length === 3)
  assert.equal((await failureOf(peer.jwt({}, token))).reason, "issuer-unknown")
})

test("[IDA-31] a bad file changes nothing and is said in log and metrics; the next good one is taken", async () => {
  await setup.write({ drain, rules: [{ name: "back", spiffe_id: "/back" }] })
  server.signal("SIGHUP")
  await until("adoption", () => server.log().split('"configuration adopted"').length === 4)
  await writeFile(setup.configFile, "trust_domain: [")
  server.signal("SIGHUP")
  await until("refusal", () => server.log().includes("configuration refused"))
  assert.equal((await peer.jwt({}, token)).spiffeId, "spiffe://prod.example/back")
  const metrics = await (await fetch(`${server.healthUrl}/metrics`)).text()
  assert.match(metrics, /^assay_config_reload_total\{outcome="refused"\} [1-9]/m)
  await setup.write({ drain })
  server.signal("SIGHUP")
  await until("adoption", () => server.log().split('"configuration adopted"').length === 5)
  assert.equal((await peer.jwt({}, token)).spiffeId, "spiffe://prod.example/ns/shop/sa/web")
})

test("[IDA-32] a call that never ends holds the drain no longer than its timeout", async () => {
  const stuck = await openServerUnderTest({ config: { drain: { timeout: "1s" } } })
  const client = connect(`https://${stuck.address}`, { ca: stuck.roots })
  client.on("error", () => undefined)
  const path = "/assay.v1.Identity/IssueJwt"
  const call = client.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" })
  call.on("error", () => undefined)
  const closed = new Promise((resolve) => call.once("close", resolve))
  call.write(Buffer.alloc(1))
  await once(client, "remoteSettings")
  await stuck[Symbol.asyncDispose]()
  await closed
  client.destroy()
})

test("[IDA-32] at SIGTERM subscriptions end well, running calls finish, new ones are refused, and it exits 0 at once", async () => {
  const subscribers = Array.from({ length: 20 }, () => new Subscriber(peer, token))
  await Promise.all(subscribers.map((subscriber) => subscriber.snapshot()))
  const health = new HealthClient(server.address, credentials.createSsl(Buffer.from(roots)), {
    "grpc.ssl_target_name_override": "localhost",
  })
  const seen: number[] = []
  const watch = health.watch({ service: "" })
  watch.on("data", ({ status }: { status: number }) => seen.push(status))
  watch.on("error", () => undefined)
  await until("health", () => seen.length === 1)
  const items = Array.from({ length: 64 }, () => JWT)
  const running = Array.from({ length: 4 }, () => peer.batchJwt(items, token))
  await running[0]
  const begin = performance.now()
  server.signal("SIGTERM")
  for (const { results } of await Promise.all(running)) assert.equal(results.length, 64)
  for (const subscriber of subscribers) assert.equal(await subscriber.ended(), undefined)
  await until("the end of the process", () => !server.running)
  assert.ok(performance.now() - begin < 15_000, "it waited for its drain timeout")
  assert.deepEqual(seen, [Serving.SERVING, Serving.NOT_SERVING])
  assert.equal(server.exitCode, 0)
  assert.equal((await failureOf(peer.jwt({}, token))).status, 14)
  assert.match(server.log(), /"server stops"/)
  health.close()
})
