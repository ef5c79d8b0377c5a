import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { IdentityView } from "../../src/app/deliver/identity-source.ts"
import { envoyMeshConfig } from "../support/envoy-config.ts"
import { FakeSource } from "../support/fake-source.ts"
import { meshView, requestOverMtls } from "../support/mesh.ts"
import { startEnvoy } from "../support/peers/envoy.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { makeScratch } from "../support/scratch.ts"
import { listenSds } from "../support/sds-under-test.ts"
import { makeTestCa, type TestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://example.org/ns/shop/sa/web"
const APP = "spiffe://partner.example/app"
const NAME = "spiffe://partner.example"

describe("a trust domain that is not trusted any more, and a real Envoy that has its bundle", {
  skip: await skipWithout("envoy"),
}, () => {
  for (const api of ["GRPC", "DELTA_GRPC"] as const) {
    for (const plain of [false, true]) {
      test(`[SDS-22] ${api}, ${plain ? "plain" : "SPIFFE validator"}: it loses that trust at once, and also when it went while the stream was away`, async () => {
        await using folder = await makeScratch("fed")
        const [ca, partner] = [makeTestCa(), makeTestCa({ trustDomain: "partner.example" })]
        const source = new FakeSource({ kind: "ready", view: view(1, ca, partner) })
        const path = folder.path("sds.sock")
        await using stack = new AsyncDisposableStack()
        let sds = await listenSds({ path, source })
        stack.defer(() => sds[Symbol.asyncDispose]())
        const listener = { kind: "mtls", name: "in", certificate: "default", trust: NAME, accept: [] } as const
        const metadata = plain ? { disable_spiffe_cert_validation: true } : {}
        const config = { id: "web", api, metadata, sds: { kind: "unix", path }, listeners: [listener] } as const
        await using envoy = await startEnvoy({ name: "web", bootstrapYaml: envoyMeshConfig(config) })
        const port = await envoy.listenerPort("in")
        const leaf = partner.issueLeaf(APP)
        const isAccepted = async () => (await requestOverMtls(port, leaf)).body.includes(APP)
        await until("the partner is accepted", isAccepted)

        source.ready(view(2, ca))
        await until("the partner is refused", async () => !(await isAccepted()))
        await until("the acknowledgement", () => source.reports.get("web")?.epoch === 2)

        source.ready(view(3, ca, partner))
        await until("the partner is accepted again", isAccepted)
        await sds[Symbol.asyncDispose]()
        assert.ok(await isAccepted(), "Envoy goes on with what it has")
        source.ready(view(4, ca))
        sds = await listenSds({ path, source })
        await until("the partner is refused by who comes back", async () => !(await isAccepted()))
        assert.equal(await envoy.stat(`sds.${NAME.replaceAll(":", "_")}.update_rejected`), 0)
        assert.deepEqual([source.reports.get("web")?.nackReason, sds.answers.nack], [undefined, 0])
      })
    }
  }
})

/** Of a workload that federates with the partner while there is one. */
function view(epoch: number, ca: TestCa, partner?: TestCa): IdentityView {
  const { snapshot, svids } = meshView(epoch, WEB, ca)
  const federatesWith = partner === undefined ? [] : [partner.trustDomain]
  const federated = partner === undefined ? [] : [partner.bundle]
  return { snapshot: { ...snapshot, federated }, svids: svids.map((svid) => ({ ...svid, federatesWith })) }
}
