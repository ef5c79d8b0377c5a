import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { envoyMeshConfig } from "../support/envoy-config.ts"
import { FakeSource } from "../support/fake-source.ts"
import { meshView } from "../support/mesh.ts"
import { startEnvoy } from "../support/peers/envoy.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { openRequestLoop } from "../support/request-loop.ts"
import { makeScratch } from "../support/scratch.ts"
import { listenSds } from "../support/sds-under-test.ts"
import { makeTestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://example.org/ns/shop/sa/web"
const CART = "spiffe://example.org/ns/shop/sa/cart"

describe("two real Envoys with mTLS by SDS", { skip: await skipWithout("envoy") }, () => {
  for (const [webApi, cartApi] of [
    ["GRPC", "DELTA_GRPC"],
    ["DELTA_GRPC", "GRPC"],
  ] as const) {
    test(`${cartApi} to ${webApi}: no request fails while leaves, issuers and roots rotate ten times under load`, async () => {
      await using folder = await makeScratch("mtls")
      let ca = makeTestCa()
      const web = new FakeSource({ kind: "ready", view: meshView(1, WEB, ca) })
      const cart = new FakeSource({ kind: "ready", view: meshView(1, CART, ca) })
      const [webPath, cartPath] = [folder.path("web.sock"), folder.path("cart.sock")]
      await using _webSds = await listenSds({ path: webPath, source: web })
      await using _cartSds = await listenSds({ path: cartPath, source: cart })
      await using inbound = await startEnvoy({
        name: "web",
        bootstrapYaml: envoyMeshConfig({
          id: "web",
          api: webApi,
          sds: { kind: "unix", path: webPath },
          listeners: [{ kind: "mtls", name: "in", certificate: WEB, trust: "ROOTCA", accept: [CART] }],
        }),
      })
      const port = await inbound.listenerPort("in")
      await using outbound = await startEnvoy({
        name: "cart",
        bootstrapYaml: envoyMeshConfig({
          id: "cart",
          api: cartApi,
          sds: { kind: "unix", path: cartPath },
          listeners: [{ kind: "client", name: "out", port, certificate: "default", trust: "ALL", accept: [WEB] }],
        }),
      })
      await using loop = openRequestLoop(`http://127.0.0.1:${await outbound.listenerPort("out")}/`, 4)
      await until("the first requests", () => loop.succeeded > 20)

      let epoch = 1
      for (let round = 0; round < 10; round += 1) {
        const next = makeTestCa()
        for (const step of [
          { signs: ca, others: [next] },
          { signs: next, others: [ca] },
          { signs: next, others: [] },
        ]) {
          epoch += 1
          web.ready(meshView(epoch, WEB, step.signs, ...step.others))
          cart.ready(meshView(epoch, CART, step.signs, ...step.others))
          await until(`epoch ${epoch}`, () => [web, cart].every((source) => acknowledged(source) === epoch))
          const before = loop.succeeded
          await until("requests with the new certificates", () => loop.succeeded > before + 8)
        }
        ca = next
      }

      assert.deepEqual(loop.failures, [])
      assert.ok(loop.bodies.size >= 20, `${loop.bodies.size} certificates were seen in use`)
      assert.ok(loop.succeeded > 250)
      assert.equal(await inbound.stat("sds.ROOTCA.update_rejected"), 0)
      assert.ok(inbound.running && outbound.running)
    })
  }

  test("a caller with another identity is refused by the matcher on its SPIFFE ID", async () => {
    await using folder = await makeScratch("mtls")
    const ca = makeTestCa()
    const path = folder.path("sds.sock")
    const other = "spiffe://example.org/ns/shop/sa/other"
    const source = new FakeSource({ kind: "ready", view: meshView(1, other, ca) })
    await using _sds = await listenSds({ path, source })
    const sds = { kind: "unix", path } as const
    const inbound = { kind: "mtls", name: "in", certificate: "default", trust: "ROOTCA", accept: [CART] } as const
    await using web = await startEnvoy({
      name: "web",
      bootstrapYaml: envoyMeshConfig({ id: "web", sds, listeners: [inbound] }),
    })
    const port = await web.listenerPort("in")
    const outbound = { kind: "client", name: "out", port, certificate: "default", trust: "ROOTCA", accept: [] } as const
    await using caller = await startEnvoy({
      name: "caller",
      bootstrapYaml: envoyMeshConfig({ id: "caller", sds, listeners: [outbound] }),
    })
    const reply = await fetch(`http://127.0.0.1:${await caller.listenerPort("out")}/`)
    assert.equal(reply.status, 503)
    assert.ok((await web.stat("listener.127.0.0.1_0.ssl.fail_verify_san")) >= 1)
  })
})

function acknowledged(source: FakeSource): number | undefined {
  return [...source.reports.values()][0]?.epoch
}
