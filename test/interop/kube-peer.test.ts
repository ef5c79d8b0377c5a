import assert from "node:assert/strict"
import { createPublicKey, verify } from "node:crypto"
import { after, before, describe, test } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import { type Kube, startKube } from "../support/peers/kube.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { claimsOf } from "../support/peers/token-signer.ts"

describe("the real API server of the tests", { skip: await skipWithout("kube-apiserver", "etcd") }, () => {
  const stack = new AsyncDisposableStack()
  let kube: Kube
  let pod: { name: string; uid: string }
  const wanted = { namespace: "demo", serviceAccount: "web", audience: "assay" }

  before(async () => {
    kube = stack.use(await startKube())
    await kube.createNamespace("demo")
    await kube.createServiceAccount("demo", "web")
    await kube.createNode("node-1")
    pod = { name: "web-0", uid: await kube.createPod({ ...wanted, name: "web-0", node: "node-1" }) }
  })
  after(() => stack.disposeAsync())

  test("issues a token bound to pod and node", async () => {
    const claims = claimsOf(await kube.requestToken({ ...wanted, boundPod: pod }))
    assert.deepEqual(claims["aud"], ["assay"])
    assert.equal(claims["iss"], kube.issuer)
    const bound = claims["kubernetes.io"]
    assert.ok(typeof bound === "object" && bound !== null && "pod" in bound && "node" in bound)
    assert.deepEqual(bound.pod, pod)
  })

  test("publishes the key of its tokens and of ours at its JWKS endpoint, to service accounts only", async () => {
    const { token } = await kube.createReviewer("demo", "reviewer")
    assert.equal((await kube.as("").raw("GET", "/openid/v1/jwks")).status, 403)
    const jwks = await kube.as(token).call("GET", "/openid/v1/jwks")
    assert.ok("keys" in jwks && Array.isArray(jwks.keys) && jwks.keys.length === 1)
    assert.equal(jwks.keys[0].kid, kube.signer.kid)
    const key = createPublicKey({ key: jwks.keys[0], format: "jwk" })
    for (const signed of [await kube.requestToken(wanted), kube.signer.sign({ sub: "nobody" })]) {
      const [header, claims, signature = ""] = signed.split(".")
      assert.ok(verify("sha256", Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, "base64url")))
    }
  })

  test("authenticates a token for its own audience and not for another, asked by a reviewer", async () => {
    const { token: reviewer } = await kube.createReviewer("demo", "second-reviewer")
    const token = await kube.requestToken({ ...wanted, boundPod: pod })
    const good = await kube.reviewToken(token, ["assay"], reviewer)
    assert.equal("authenticated" in good && good.authenticated, true)
    const bad = await kube.reviewToken(token, ["other"], reviewer)
    assert.equal("authenticated" in bad && bad.authenticated, false)
  })

  test("refuses an expired token and takes the same token unexpired", async () => {
    const claims = claimsOf(await kube.requestToken({ ...wanted, boundPod: pod }))
    const now = Math.floor(Date.now() / 1000)
    const resigned = await kube.reviewToken(kube.signer.sign(claims), ["assay"])
    assert.equal("authenticated" in resigned && resigned.authenticated, true)
    const past = { ...claims, iat: now - 1200, nbf: now - 1200, exp: now - 600 }
    const expired = await kube.reviewToken(kube.signer.sign(past), ["assay"])
    assert.equal("authenticated" in expired && expired.authenticated, false)
  })

  test("refuses the token of a deleted pod", async () => {
    const name = "gone-0"
    const uid = await kube.createPod({ ...wanted, name, node: "node-1" })
    const token = await kube.requestToken({ ...wanted, boundPod: { name, uid } })
    await kube.deletePod("demo", name)
    const deadline = Date.now() + 30_000
    for (;;) {
      const status = await kube.reviewToken(token, ["assay"])
      if (!("authenticated" in status) || status.authenticated !== true) break
      assert.ok(Date.now() < deadline, "the token outlived its pod by 30 s")
      await delay(200)
    }
  })

  test("runs beside a second cluster that does not know its tokens", async () => {
    await using other = await startKube({ issuer: "https://other.example" })
    assert.notEqual(other.url, kube.url)
    const status = await other.reviewToken(await kube.requestToken(wanted), ["assay"])
    assert.equal("authenticated" in status && status.authenticated, false)
  })
})
