import assert, { deepEqual, equal, rejects } from "node:assert/strict"
import type { OutgoingHttpHeaders } from "node:http"
import { test } from "node:test"
import { TLSSocket } from "node:tls"
import { makeFileEndpoint } from "../../../../src/adapters/kube/kube-endpoint.ts"
import { makeTokenReviewer } from "../../../../src/adapters/kube/token-review.ts"
import { LocalCluster } from "../../../../src/main/demo/local-cluster.ts"
import { listenLocalCluster } from "../../../../src/main/demo/local-cluster-server.ts"
import { listenHttps } from "../../../support/https-endpoint.ts"

const NEVER = new AbortController().signal
const frame = (status: unknown) =>
  JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", status })

async function reviewWith(status: number, body: string | Uint8Array, headers: OutgoingHttpHeaders = {}) {
  await using server = await listenHttps((_, response) => response.writeHead(status, headers).end(body))
  const endpoint = makeFileEndpoint({ url: server.url, caFile: server.caFile, tokenFile: server.tokenFile })
  const result = await makeTokenReviewer(endpoint).review("a.b.c", ["assay"], NEVER)
  return { result, request: server.requests[0] }
}

test("posts token and audiences with our own bearer token, and reads the answer", async () => {
  const user = { username: "u", uid: "1", groups: ["g"], extra: { "authentication.kubernetes.io/pod-name": ["p"] } }
  const { result, request } = await reviewWith(201, frame({ authenticated: true, audiences: ["assay"], user }))
  deepEqual(result, {
    authenticated: true,
    error: "",
    username: "u",
    uid: "1",
    audiences: ["assay"],
    extra: { "authentication.kubernetes.io/pod-name": ["p"] },
  })
  equal(request?.path, "/apis/authentication.k8s.io/v1/tokenreviews")
  equal(request?.headers.authorization, "Bearer reviewer-token")
  deepEqual(JSON.parse(request?.body ?? "").spec, { token: "a.b.c", audiences: ["assay"] })
})

test("an answer without members is a refusal", async () => {
  const { result } = await reviewWith(201, frame({ user: {} }))
  deepEqual([result.authenticated, result.audiences, result.username], [false, [], ""])
})

test("[INV-15] never asks without audience", async () => {
  const endpoint = makeFileEndpoint({ url: "https://127.0.0.1:1", caFile: undefined, tokenFile: undefined })
  await rejects(makeTokenReviewer(endpoint).review("a.b.c", [], NEVER), RangeError)
})

for (const status of [301, 400, 401, 403, 404, 429, 500, 503]) {
  test(`[INV-15] status ${status} is an outage, not a refusal of the token`, async () => {
    await rejects(reviewWith(status, frame({ authenticated: false })), { code: "attestor-down" })
  })
}

for (const body of [
  "",
  "{}",
  "null",
  frame(undefined),
  frame([]),
  frame({ authenticated: "true" }),
  frame({ authenticated: true, user: [] }),
  frame({ authenticated: true, audiences: "assay" }),
  frame({ authenticated: true, audiences: [1] }),
  frame({ authenticated: true, user: { username: 1 } }),
  frame({ authenticated: true, user: { extra: { a: "b" } } }),
  frame({ authenticated: true }).replace('"status"', '"status":{},"status"'),
  frame({}).replace("/v1", "/v1beta1"),
  frame({}).replace("TokenReview", "Status"),
]) {
  test(`the reply ${JSON.stringify(body).slice(0, 80)} is an outage`, async () => {
    await rejects(reviewWith(201, body), { code: "attestor-down" })
  })
}

test("[ATT-15] a reply that is not UTF-8, or has more than 16 KiB of headers, is an outage", async () => {
  const [before = "", after = ""] = frame({ authenticated: true, user: { username: "?" } }).split("?")
  const body = Buffer.concat([Buffer.from(before), Buffer.of(0xff), Buffer.from(after)])
  await rejects(reviewWith(201, body), { code: "attestor-down" })
  await rejects(reviewWith(201, frame({ authenticated: true }), { "x-long": "x".repeat(20_000) }), {
    code: "attestor-down",
  })
})

test("[INV-20] no TLS session outlives its connection, so that the next one meets every check", async () => {
  const resumed: boolean[] = []
  await using server = await listenHttps(({ socket }, response) => {
    assert.ok(socket instanceof TLSSocket)
    resumed.push(socket.isSessionReused())
    response.writeHead(201, { connection: "close" }).end(frame({ authenticated: true }))
  })
  const endpoint = makeFileEndpoint({ url: server.url, caFile: server.caFile, tokenFile: server.tokenFile })
  for (let i = 0; i < 3; i++) await makeTokenReviewer(endpoint).review("a.b.c", ["assay"], NEVER)
  deepEqual(resumed, [false, false, false])
})

test("a server that is not there, and a token file that is not there, are outages", async () => {
  const gone = makeFileEndpoint({ url: "https://127.0.0.1:1", caFile: undefined, tokenFile: undefined })
  await rejects(makeTokenReviewer(gone).review("a.b.c", ["assay"], NEVER), { code: "attestor-down" })
  const unread = makeFileEndpoint({ url: "https://127.0.0.1:1", caFile: undefined, tokenFile: "/nonexistent/token" })
  await rejects(makeTokenReviewer(unread).review("a.b.c", ["assay"], NEVER), { code: "attestor-down" })
})

test("speaks to the stand-in cluster as to a real one", async () => {
  const cluster = new LocalCluster("https://issuer.test", () => 1_800_000_000)
  const pod = cluster.createPod("shop", "cart", "cart-0")
  const token = cluster.issueToken(pod, { audience: ["assay"], lifetime: 60 })
  await using server = await listenLocalCluster(cluster, 0)
  const reviewer = makeTokenReviewer(makeFileEndpoint({ url: server.url, caFile: undefined, tokenFile: undefined }))
  equal((await reviewer.review(token, ["assay"], NEVER)).username, "system:serviceaccount:shop:cart")
  equal((await reviewer.review(token, ["other"], NEVER)).authenticated, false)
  equal((await reviewer.review("no-token", ["assay"], NEVER)).authenticated, false)
  cluster.deletePod(pod.uid)
  equal((await reviewer.review(token, ["assay"], NEVER)).authenticated, false)
})
