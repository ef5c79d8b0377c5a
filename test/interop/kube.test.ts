import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import { type AssayServer, startAssayServer } from "../support/assay-process.ts"
import { askForJwt } from "../support/identity-call.ts"
import { type Kube, startKube } from "../support/peers/kube.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { claimsOf } from "../support/peers/token-signer.ts"

const WANTED = { namespace: "demo", serviceAccount: "web", audience: "assay" }
const WEB = "spiffe://test.example/ns/demo/sa/web"

describe("tokens of a real cluster at a real server", { skip: await skipWithout("kube-apiserver", "etcd") }, () => {
  const stack = new AsyncDisposableStack()
  let kube: Kube
  let server: AssayServer

  before(async () => {
    kube = stack.use(await startKube())
    await kube.createNamespace("demo")
    await kube.createServiceAccount("demo", "web")
    await kube.createNode("node-1")
    const { tokenFile } = await kube.createReviewer("demo", "assay-server")
    const access = { ca_file: kube.caFile, token_file: tokenFile }
    const cluster = {
      name: "real",
      issuer: kube.issuer,
      audiences: ["assay"],
      keys: { jwks_url: kube.jwksUrl, ...access },
      token_review: { mode: "always", url: kube.url, ...access },
    }
    server = stack.use(await startAssayServer({ clusters: [cluster] }))
  })
  after(() => stack.disposeAsync())

  const podToken = async (name: string, audience = WANTED.audience) => {
    const uid = await kube.createPod({ ...WANTED, name, node: "node-1" })
    return await kube.requestToken({ ...WANTED, audience, boundPod: { name, uid } })
  }

  test("gives a bound token the identity of its service account", async () => {
    const verdict = await askForJwt(server, await podToken("good-0"))
    assert.ok("spiffeId" in verdict, JSON.stringify(verdict))
    assert.equal(verdict.spiffeId, WEB)
    assert.equal(claimsOf(verdict.svid)["sub"], WEB)
  })

  test("refuses a token for another audience", async () => {
    const verdict = await askForJwt(server, await podToken("audience-0", "vault"))
    assert.deepEqual(verdict, { status: 16, code: "unauthenticated", reason: "audience-mismatch" })
  })

  test("refuses an expired token that the cluster's own key signed", async () => {
    const claims = claimsOf(await podToken("expired-0"))
    const now = Math.floor(Date.now() / 1000)
    const token = kube.signer.sign({ ...claims, iat: now - 1200, nbf: now - 1200, exp: now - 600 })
    assert.deepEqual(await askForJwt(server, token), { status: 16, code: "unauthenticated", reason: "token-expired" })
  })

  test("refuses a token that is not bound to a pod", async () => {
    const verdict = await askForJwt(server, await kube.requestToken(WANTED))
    assert.deepEqual(verdict, { status: 7, code: "attestation-denied", reason: "pod-binding-missing" })
  })

  test("refuses the token of a deleted pod", async () => {
    const token = await podToken("gone-0")
    await kube.deletePod("demo", "gone-0")
    const deadline = Date.now() + 40_000
    let verdict = await askForJwt(server, token)
    // The API server's token cache may still know it.
    while ("spiffeId" in verdict && Date.now() < deadline) {
      await delay(500)
      verdict = await askForJwt(server, token)
    }
    assert.deepEqual(verdict, { status: 7, code: "attestation-denied", reason: "pod-deleted" })
  })

  test("refuses tokens of another cluster, whether it names its own issuer or ours", async () => {
    for (const [issuer, reason] of [
      ["https://other.example", "issuer-unknown"],
      [kube.issuer, "signature-invalid"],
    ] as const) {
      await using other = await startKube({ issuer })
      await other.createNamespace("demo")
      await other.createServiceAccount("demo", "web")
      await other.createNode("node-1")
      const uid = await other.createPod({ ...WANTED, name: "web-0", node: "node-1" })
      const token = await other.requestToken({ ...WANTED, boundPod: { name: "web-0", uid } })
      assert.deepEqual(await askForJwt(server, token), { status: 16, code: "unauthenticated", reason })
    }
  })

  test("answers Unavailable to a new pod while the API server hangs, and recovers", async () => {
    const token = await podToken("late-0")
    kube.suspend()
    const verdict = await askForJwt(server, token).finally(() => kube.resume())
    assert.ok("status" in verdict, JSON.stringify(verdict))
    assert.deepEqual([verdict.status, verdict.code], [14, "attestor-down"])
    const deadline = Date.now() + 30_000
    let later = await askForJwt(server, token)
    while (!("spiffeId" in later) && Date.now() < deadline) {
      await delay(500)
      later = await askForJwt(server, token)
    }
    assert.ok("spiffeId" in later, JSON.stringify(later))
  })
})
