import { equal, rejects } from "node:assert/strict"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { makeClusterJwksSource, makeFileJwksSource } from "../../../../src/adapters/kube/jwks-source.ts"
import { openKubeconfigEndpoint } from "../../../../src/adapters/kube/kubeconfig-endpoint.ts"
import { listenHttps } from "../../../support/https-endpoint.ts"

const NEVER = new AbortController().signal

function kubeconfig(url: string, cluster: object, user: object): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: url, ...cluster } }],
    users: [{ name: "u", user }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  })
}

test("CA and token come from the kubeconfig, embedded or as files beside it, and are read anew", async () => {
  await using server = await listenHttps((_, response) => response.end("{}"))
  const file = join(server.folder, "kubeconfig")
  await writeFile(file, kubeconfig(server.url, { "certificate-authority": "ca.pem" }, { token: "first" }))
  const source = makeClusterJwksSource(await openKubeconfigEndpoint(file, undefined))
  equal(await source.read(NEVER), "{}")
  const ca = (await readFile(server.caFile)).toString("base64")
  await writeFile(file, kubeconfig(server.url, { "certificate-authority-data": ca }, { token: "second" }))
  equal(await source.read(NEVER), "{}")
  equal(server.requests.map(({ headers }) => headers.authorization).join(), "Bearer first,Bearer second")
})

test("a file that cannot be read, or is something else, is named, with what it was to be", async () => {
  await using server = await listenHttps((_, response) => response.end("{}"))
  const text = join(server.folder, "text")
  await writeFile(text, "a: [\n")
  const none = join(server.folder, "none")
  for (const [file, message] of [
    [none, `kubeconfig ${none} cannot be read (ENOENT): there is no such file`],
    [server.folder, `kubeconfig ${server.folder} cannot be read (EISDIR): it is a folder`],
    [text, `kubeconfig ${text} is none`],
  ] as const)
    await rejects(openKubeconfigEndpoint(file, undefined), { name: "IdentityError", message })
  await rejects(makeFileJwksSource(server.folder).read(NEVER), {
    reason: "file-unreadable",
    message: `JWKS file ${server.folder} cannot be read (EISDIR): it is a folder`,
  })
})

test("a kubeconfig of another CA does not reach the server", async () => {
  await using server = await listenHttps((_, response) => response.end("{}"))
  await server.distrust()
  const file = join(server.folder, "kubeconfig")
  await writeFile(file, kubeconfig(server.url, { "certificate-authority": "ca.pem" }, { token: "first" }))
  const endpoint = await openKubeconfigEndpoint(file, "x")
  await rejects(makeClusterJwksSource(endpoint).read(NEVER), { code: "attestor-down" })
})

test("refuses a kubeconfig that gives up verification, names no context, or is plain http elsewhere", async () => {
  await using server = await listenHttps((_, response) => response.end("{}"))
  const file = join(server.folder, "kubeconfig")
  await writeFile(file, kubeconfig(server.url, { "insecure-skip-tls-verify": true }, {}))
  await rejects(openKubeconfigEndpoint(file, undefined), { code: "malformed" })
  await rejects(openKubeconfigEndpoint(file, "other"), { code: "malformed" })
  await writeFile(file, kubeconfig("http://issuer.test", {}, {}))
  await rejects(openKubeconfigEndpoint(file, undefined), { code: "malformed" })
})
