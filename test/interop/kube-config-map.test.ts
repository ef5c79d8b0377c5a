import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"
import { makeConfigMapTarget } from "../../src/adapters/kube/config-map.ts"
import { makeFileEndpoint } from "../../src/adapters/kube/kube-endpoint.ts"
import { publishedDocuments } from "../../src/core/oauth/publication.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { type Kube, startKube } from "../support/peers/kube.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"

const ISSUER = "https://assay.example/tenants/one"
const NAMES = ["keys", "oauth-authorization-server", "oauth-protected-resource", "openid-configuration"]
const NEVER = new AbortController().signal

describe("a ConfigMap of a real API server", { skip: await skipWithout("kube-apiserver", "etcd") }, () => {
  const stack = new AsyncDisposableStack()
  let kube: Kube
  let tokenFile: string

  before(async () => {
    kube = stack.use(await startKube())
    await kube.createNamespace("demo")
    ;({ tokenFile } = await kube.createReviewer("demo", "assay-server"))
    await allow(kube)
  })
  after(() => stack.disposeAsync())

  const documents = (...keys: readonly ReturnType<typeof makeJwtKey>[]) => {
    const authorities = keys.map(({ authority }) => authority)
    return publishedDocuments({ issuer: ISSUER, endpoints: ISSUER }, authorities)
  }
  const target = (name: string) =>
    makeConfigMapTarget(makeFileEndpoint({ url: kube.url, caFile: kube.caFile, tokenFile }), {
      namespace: "demo",
      name,
    })
  const dataOf = async (name: string): Promise<Readonly<Record<string, string>>> => {
    const found = await kube.admin.call("GET", `${MAPS}/${name}`)
    return { ...Reflect.get(found, "data") }
  }

  test("[PUB-05] is made, follows the keys, and is not written when nothing changed", async () => {
    const map = target("oidc")
    const first = makeJwtKey()
    assert.equal(await map.publish(documents(first), ISSUER, NEVER), "written")
    assert.deepEqual(Object.keys(await dataOf("oidc")).toSorted(), NAMES)
    assert.equal(await map.publish(documents(first), ISSUER, NEVER), "unchanged")
    const both = documents(first, makeJwtKey())
    assert.equal(await map.publish(both, ISSUER, NEVER), "written")
    assert.equal((await dataOf("oidc"))["keys"], both[0]?.content)
  })

  test("[PUB-05] keeps keys of others, and takes back ours that somebody else changed", async () => {
    const kept = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "shared" },
      data: { theirs: "x", keys: "{}" },
    }
    await kube.admin.call("POST", MAPS, kept)
    const wanted = documents(makeJwtKey())
    assert.equal(await target("shared").publish(wanted, ISSUER, NEVER), "written")
    const data = await dataOf("shared")
    assert.deepEqual([data["theirs"], data["keys"]], ["x", wanted[0]?.content])
  })

  test("[PUB-05] refuses one of another issuer, and says what the API server refuses", async () => {
    await target("theirs").publish(documents(makeJwtKey()), ISSUER, NEVER)
    const before = await dataOf("theirs")
    const refused = target("theirs").publish(documents(makeJwtKey()), "https://other.example", NEVER)
    await assert.rejects(refused, { code: "already-exists" })
    assert.deepEqual(await dataOf("theirs"), before)
    const nowhere = makeConfigMapTarget(makeFileEndpoint({ url: kube.url, caFile: kube.caFile, tokenFile }), {
      namespace: "default",
      name: "oidc",
    })
    await assert.rejects(nowhere.publish(documents(makeJwtKey()), ISSUER, NEVER), {
      code: "not-ready",
      reason: "config-map-unusable",
      message: /status 403/,
    })
  })

  test("[PUB-05][PUB-07] the command writes it by token and by kubeconfig", async () => {
    await using scratch = await makeScratch()
    const token = { name: "by-token", url: kube.url, ca_file: kube.caFile, token_file: tokenFile }
    const maps = [token, { name: "by-kubeconfig", kubeconfig: kube.adminKubeconfig }]
    const publish = maps.map((map) => ({ config_map: { namespace: "demo", ...map } }))
    const setup = await makeServerSetup(scratch.directory, { oauth: { issuer: ISSUER, publish } })
    await initTrustDomain(setup)
    const out = "demo/by-token: written\ndemo/by-kubeconfig: written\n"
    assert.deepEqual(await runAssay(["oidc", "publish", "-c", setup.configFile]), { code: 0, out, err: "" })
    assert.deepEqual(await dataOf("by-token"), await dataOf("by-kubeconfig"))
  })
})

const MAPS = "/api/v1/namespaces/demo/configmaps"

/** What the server's service account needs, and no more. */
async function allow(kube: Kube): Promise<void> {
  const group = "rbac.authorization.k8s.io"
  const path = `/apis/${group}/v1/namespaces/demo`
  const common = { apiVersion: `${group}/v1`, metadata: { name: "publish" } }
  const rules = [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get", "create", "patch"] }]
  await kube.admin.call("POST", `${path}/roles`, { ...common, kind: "Role", rules })
  const roleRef = { apiGroup: group, kind: "Role", name: "publish" }
  const subjects = [{ kind: "ServiceAccount", namespace: "demo", name: "assay-server" }]
  await kube.admin.call("POST", `${path}/rolebindings`, { ...common, kind: "RoleBinding", roleRef, subjects })
}
