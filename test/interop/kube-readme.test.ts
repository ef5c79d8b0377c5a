import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"
import { parse } from "yaml"
import { fences } from "../support/markdown.ts"
import { type Kube, startKube } from "../support/peers/kube.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { projectFiles } from "../support/project-files.ts"

describe("what the README says of Kubernetes, on a real API server", {
  skip: await skipWithout("kube-apiserver", "etcd"),
}, () => {
  const stack = new AsyncDisposableStack()
  let kube: Kube

  before(async () => {
    kube = stack.use(await startKube())
    await kube.createNamespace("shop")
    await kube.createServiceAccount("shop", "web")
  })
  after(() => stack.disposeAsync())

  test("its pod is accepted, with no field that the API does not know", async () => {
    const { status, text } = await createStrictly(podOfReadme())
    assert.equal(status, 201, text)
  })

  test("a field that the API does not know would have been refused", async () => {
    const { status } = await createStrictly({ ...podOfReadme(), specification: {} })
    assert.equal(status, 400)
  })

  test("the two roles it names are enough for what the server asks; without them TokenReview is refused", async () => {
    const token = await kube.requestToken({ namespace: "shop", serviceAccount: "web", audience: kube.issuer })
    const review = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token, audiences: ["assay"] },
    }
    const ask = () => kube.as(token).raw("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
    assert.equal((await ask()).status, 403)
    for (const role of rolesOfReadme()) await bind(role)
    assert.equal((await ask()).status, 201)
    assert.equal((await kube.as(token).raw("GET", "/openid/v1/jwks")).status, 200)
  })

  function createStrictly(pod: object) {
    return kube.admin.raw("POST", "/api/v1/namespaces/shop/pods?dryRun=All&fieldValidation=Strict", pod)
  }

  async function bind(role: string): Promise<void> {
    await kube.admin.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: `readme-${role.replaceAll(":", "-")}` },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
      subjects: [{ kind: "ServiceAccount", namespace: "shop", name: "web" }],
    })
  }
})

function readme(): string {
  return projectFiles("README.md")[0]?.text ?? ""
}

function podOfReadme(): object {
  const [block] = fences(readme()).filter(({ text }) => text.startsWith("# pod.yaml"))
  const pod: unknown = parse(block?.text ?? "")
  assert.ok(typeof pod === "object" && pod !== null)
  return pod
}

function rolesOfReadme(): readonly string[] {
  const roles = [...readme().matchAll(/`(system:[a-z-]+)`/g)].flatMap(([, role]) => role ?? [])
  assert.equal(roles.length, 2)
  return roles
}
