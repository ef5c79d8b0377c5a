import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { makeClusterJwksSource, makeUrlJwksSource } from "../../src/adapters/kube/jwks-source.ts"
import { makeFileEndpoint } from "../../src/adapters/kube/kube-endpoint.ts"
import { openKubeconfigEndpoint } from "../../src/adapters/kube/kubeconfig-endpoint.ts"
import { NEVER } from "../support/attest-fixture.ts"
import { listenHttps } from "../support/https-endpoint.ts"

const down = { code: "attestor-down" }

test("[ATT-15] a set is read over https with CA and token from files that may change in between", async () => {
  await using server = await listenHttps((_, response) => response.end("{}"))
  const endpoint = makeFileEndpoint({ url: server.url, caFile: server.caFile, tokenFile: server.tokenFile })
  equal(await makeClusterJwksSource(endpoint).read(NEVER), "{}")
  await writeFile(server.tokenFile, "next-token")
  equal(await makeClusterJwksSource(endpoint).read(NEVER), "{}")
  deepEqual(
    server.requests.map(({ method, path, headers }) => [method, path, headers.authorization]),
    [
      ["GET", "/openid/v1/jwks", "Bearer reviewer-token"],
      ["GET", "/openid/v1/jwks", "Bearer next-token"],
    ],
  )
})

test("[KC-06][ATT-15] a server whose certificate the configured CA did not issue is no source of keys", async () => {
  await using server = await listenHttps((_, response) => response.end("{}"))
  await server.distrust()
  const endpoint = makeFileEndpoint({ url: server.url, caFile: server.caFile, tokenFile: server.tokenFile })
  await rejects(makeClusterJwksSource(endpoint).read(NEVER), down)
  equal(server.requests.length, 0)
})

test("[ATT-15] redirects are not followed, and no token goes where they lead", async () => {
  await using target = await listenHttps((_, response) => response.end("{}"))
  await using server = await listenHttps((_, response) =>
    response.writeHead(302, { location: `${target.url}/keys` }).end(),
  )
  const endpoint = makeFileEndpoint({
    url: `${server.url}/keys?v=1`,
    caFile: server.caFile,
    tokenFile: server.tokenFile,
  })
  await rejects(makeUrlJwksSource(endpoint).read(NEVER), down)
  equal(server.requests[0]?.path, "/keys?v=1")
  equal(target.requests.length, 0)
})

test("[ATT-15] a reply longer than 512 KiB is given up", async () => {
  await using server = await listenHttps((_, response) => response.end(Buffer.alloc(512 * 1024 + 1, " ")))
  const endpoint = makeFileEndpoint({ url: server.url, caFile: server.caFile, tokenFile: undefined })
  await rejects(makeUrlJwksSource(endpoint).read(NEVER), down)
})

test("[ATT-15] a program that hangs with the credentials holds up nobody for longer than he waits, and is started once for all", async () => {
  await using server = await listenHttps((_, response) => response.end("{}"))
  const [file, credentials] = [join(server.folder, "kubeconfig"), join(server.folder, "credentials")]
  execFileSync("mkfifo", [credentials])
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "cat", args: [credentials] }
  const cluster = { server: server.url, "certificate-authority": server.caFile }
  const config = { apiVersion: "v1", kind: "Config", "current-context": "x" }
  const named = { clusters: [{ name: "c", cluster }], users: [{ name: "u", user: { exec } }] }
  const contexts = [{ name: "x", context: { cluster: "c", user: "u" } }]
  await writeFile(file, JSON.stringify({ ...config, ...named, contexts }))
  const source = makeClusterJwksSource(await openKubeconfigEndpoint(file, undefined))
  const stop = new AbortController()
  const [one, another] = [source.read(stop.signal), source.read(NEVER)]
  stop.abort(new Error("waited long enough"))
  await rejects(one, /waited long enough/)
  await writeFile(credentials, JSON.stringify({ kind: "ExecCredential", status: { token: "of-all" } }))
  equal(await another, "{}")
  deepEqual(
    server.requests.map(({ headers }) => headers.authorization),
    ["Bearer of-all"],
  )
})

test("[ATT-15] a request that is aborted ends with the reason of its signal", async () => {
  const arrived = Promise.withResolvers<void>()
  await using server = await listenHttps(() => arrived.resolve())
  const endpoint = makeFileEndpoint({ url: server.url, caFile: server.caFile, tokenFile: undefined })
  const controller = new AbortController()
  const read = makeUrlJwksSource(endpoint).read(controller.signal)
  await arrived.promise
  controller.abort()
  await rejects(read, { name: "AbortError" })
})

for (const url of [
  "http://issuer.test/",
  "http://10.0.0.1/",
  "ftp://127.0.0.1/",
  "https://u:p@issuer.test/",
  "https://u@issuer.test/",
  "https://:p@issuer.test/",
  "https://issuer.test/#f",
  "http://127.0.0.1.evil.test/",
  "issuer.test",
  "http://localhost.evil.test/",
]) {
  test(`[ATT-15] refuses the URL ${url}`, () => {
    throws(() => makeFileEndpoint({ url, caFile: undefined, tokenFile: undefined }), { code: "malformed" })
  })
}

test("[ATT-15] http is for loopback addresses alone", () => {
  for (const url of ["http://127.0.0.1:8080/", "http://[::1]:8080/", "http://localhost:8080/"]) {
    ok(makeFileEndpoint({ url, caFile: undefined, tokenFile: undefined }).server)
  }
})
