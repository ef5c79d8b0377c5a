import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { after, before, describe, test } from "node:test"
import { type AssayAgent, type AssayServer, startAssayAgent, startAssayServer } from "../support/assay-process.ts"
import { runGoSpiffe, startGoSpiffe } from "../support/peers/go-spiffe.ts"
import { textOf } from "../support/peers/json-lines.ts"
import { type Kube, startKube } from "../support/peers/kube.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { runPySpiffe, startPySpiffe } from "../support/peers/py-spiffe.ts"
import { eventIds, eventSerials } from "../support/peers/workload-events.ts"
import { makeScratch } from "../support/scratch.ts"

const WEB = "spiffe://test.example/ns/demo/sa/web"
const DB = "spiffe://test.example/ns/demo/sa/db"
const PEERS = ["kube-apiserver", "etcd", "go-spiffe", "py-spiffe"] as const

/** Nothing here is a stand-in: a real cluster, server and agents in processes of their own, unmodified clients. */
describe("from a cluster's token to a rotating SVID", { skip: await skipWithout(...PEERS) }, () => {
  const stack = new AsyncDisposableStack()
  let kube: Kube
  let server: AssayServer
  let web: AssayAgent
  let db: AssayAgent

  before(async () => {
    const folder = stack.use(await makeScratch("tokens"))
    kube = stack.use(await startKube())
    await kube.createNamespace("demo")
    await kube.createNode("node-1")
    server = stack.use(await startAssayServer({ clusters: [await clusterOf(kube)], x509: { ttl: "10s" } }))
    const startFor = async (serviceAccount: string) => {
      const tokenFile = folder.path(serviceAccount)
      await writeFile(tokenFile, await podToken(kube, serviceAccount))
      return stack.use(await startAssayAgent(server, serviceAccount, tokenFile))
    }
    web = await startFor("web")
    db = await startFor("db")
  })
  after(() => stack.disposeAsync())

  test("go-spiffe and py-spiffe each see three rotations on one stream", async () => {
    await using go = await startGoSpiffe("watch", web.socket, ["-updates", "4"])
    await using py = await startPySpiffe("watch", web.socket, ["--updates", "4"])
    for (const watch of [go, py]) {
      await watch.waitFor((event) => event.event === "update", ROTATIONS_MILLIS, 3)
      assert.equal(await watch.ended, 0, watch.logTail())
      // A client that comes before the first SVID is told Unavailable, and comes back by itself.
      const updates = watch.events.filter((event) => event.event === "update")
      assert.deepEqual(updates.map(eventIds), Array(4).fill([WEB]))
      assert.equal(new Set(updates.flatMap(eventSerials)).size, 4)
    }
  })

  test("go-spiffe and py-spiffe fetch a JWT-SVID and validate it", async () => {
    for (const finished of [
      await runGoSpiffe("jwt", web.socket, ["-audience", "db"]),
      await runPySpiffe("jwt", web.socket, ["--audience", "db"]),
    ]) {
      assert.equal(finished.code, 0, finished.error)
      assert.equal(textOf(finished.events[0], "id"), WEB)
    }
  })

  test("two identities connect by mutual TLS, and a wrong peer is refused", async () => {
    await using listener = await startGoSpiffe("mtls-server", db.socket, ["-peer", WEB])
    const addr = textOf(await listener.waitFor((event) => event.event === "listening", 20_000), "addr")
    const right = await runGoSpiffe("mtls-client", web.socket, ["-addr", addr, "-peer", DB, "-count", "3"])
    assert.equal(right.code, 0, right.error)
    const wrongServer = await runGoSpiffe("mtls-client", web.socket, ["-addr", addr, "-peer", WEB])
    assert.match(wrongServer.error, /unexpected ID/)
    const wrongClient = await runGoSpiffe("mtls-client", db.socket, ["-addr", addr, "-peer", DB])
    assert.equal(wrongClient.code, 1)
    await listener.waitFor((event) => event.event === "refused", 20_000)
  })
})

async function clusterOf(kube: Kube): Promise<object> {
  const { tokenFile } = await kube.createReviewer("demo", "assay-server")
  const access = { ca_file: kube.caFile, token_file: tokenFile }
  return {
    name: "real",
    issuer: kube.issuer,
    audiences: ["assay"],
    keys: { jwks_url: kube.jwksUrl, ...access },
    token_review: { url: kube.url, ...access },
  }
}

async function podToken(kube: Kube, serviceAccount: string): Promise<string> {
  const wanted = { namespace: "demo", serviceAccount, audience: "assay" }
  await kube.createServiceAccount("demo", serviceAccount)
  const name = `${serviceAccount}-0`
  const uid = await kube.createPod({ ...wanted, name, node: "node-1" })
  return await kube.requestToken({ ...wanted, boundPod: { name, uid } })
}

/** Three rotations at 0.4 to 0.6 of 10 s, with room for a machine that is busy. */
const ROTATIONS_MILLIS = 60_000
