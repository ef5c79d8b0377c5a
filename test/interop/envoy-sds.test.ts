import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { Secret } from "../../src/core/secret.ts"
import { type EnvoyMeshConfig, envoyMeshConfig } from "../support/envoy-config.ts"
import { FakeSource } from "../support/fake-source.ts"
import { heldSvid, meshView, requestOverMtls } from "../support/mesh.ts"
import { type Envoy, startEnvoy } from "../support/peers/envoy.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { makeScratch } from "../support/scratch.ts"
import { listenSds } from "../support/sds-under-test.ts"
import { makeKeyPair, makeTestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://example.org/ns/shop/sa/web"
const CART = "spiffe://example.org/ns/shop/sa/cart"
const OTHER = "spiffe://example.org/ns/shop/sa/other"

describe("a real Envoy fed by SDS", { skip: await skipWithout("envoy") }, () => {
  for (const api of ["GRPC", "DELTA_GRPC"] as const) {
    for (const plain of [false, true]) {
      test(`${api}, ${plain ? "plain" : "SPIFFE"} validator: takes certificate and trust, and their rotation, without a restart`, async () => {
        await using folder = await makeScratch("sds")
        const [ca, next] = [makeTestCa(), makeTestCa()]
        const source = new FakeSource({ kind: "ready", view: meshView(1, WEB, ca) })
        const path = folder.path("sds.sock")
        await using sds = await listenSds({ path, source })
        await using envoy = await startWeb(path, { api, metadata: { disable_spiffe_cert_validation: plain } })
        const port = await envoy.listenerPort("in")

        const first = await requestOverMtls(port, ca.issueLeaf(CART))
        assert.match(first.body, new RegExp(`^${CART} `))
        assert.equal((await requestOverMtls(port, ca.issueLeaf(OTHER))).body.includes(OTHER), false)
        assert.equal((await requestOverMtls(port, next.issueLeaf(CART))).body.includes(CART), false)
        assert.equal((await requestOverMtls(port, undefined)).body.includes(CART), false)

        await settled(source, meshView(2, WEB, ca, next))
        await settled(source, meshView(3, WEB, next, ca))
        const second = await requestOverMtls(port, next.issueLeaf(CART))
        assert.match(second.body, new RegExp(`^${CART} `))
        assert.notEqual(second.serial, first.serial)
        await settled(source, meshView(4, WEB, next))
        assert.equal((await requestOverMtls(port, ca.issueLeaf(CART))).body.includes(CART), false)
        assert.equal(sds.answers.nack, 0)
        // Step three trusts the same roots in another order, which is no change.
        assert.equal(sds.pushed[api === "GRPC" ? "sotw" : "delta"], 2 + 2 + 1 + 2)
      })
    }

    test(`${api}: an SVID that is asked for by its ID is served once it exists`, async () => {
      await using folder = await makeScratch("sds")
      const ca = makeTestCa()
      const source = new FakeSource({ kind: "ready", view: meshView(1, OTHER, ca) })
      const path = folder.path("sds.sock")
      await using sds = await listenSds({ path, source })
      await using envoy = await startWeb(path, { api, certificate: WEB, until: "admin" })
      await until("both subscriptions", () => sds.streams() === 2 && source.reports.get("web")?.epoch === 1)
      assert.equal(sds.pushed[api === "GRPC" ? "sotw" : "delta"], 1)
      const view = meshView(2, OTHER, ca)
      source.ready({ ...view, svids: [...view.svids, heldSvid(ca, WEB)] })
      await envoy.untilLive()
      assert.match((await requestOverMtls(await envoy.listenerPort("in"), ca.issueLeaf(CART))).body, /^spiffe:/)
    })

    test(`${api}: a secret that Envoy refuses is logged once, not sent again, and does no harm`, async () => {
      await using folder = await makeScratch("sds")
      const ca = makeTestCa()
      const source = new FakeSource({ kind: "ready", view: meshView(1, WEB, ca) })
      const path = folder.path("sds.sock")
      await using sds = await listenSds({ path, source })
      await using envoy = await startWeb(path, { api })
      const port = await envoy.listenerPort("in")
      const before = await requestOverMtls(port, ca.issueLeaf(CART))

      const broken = meshView(2, WEB, ca)
      const foreignKey = new Secret(makeKeyPair().privateKey.export({ format: "der", type: "pkcs8" }))
      source.ready({ ...broken, svids: broken.svids.map((svid) => ({ ...svid, key: foreignKey })) })
      await until("the refusal", () => source.reports.get("web")?.nackReason !== undefined)
      await envoy.untilStat("sds.default.update_rejected", (count) => count === 1)
      assert.equal(source.reports.get("web")?.epoch, 1)
      assert.equal((await requestOverMtls(port, ca.issueLeaf(CART))).serial, before.serial)

      await settled(source, meshView(3, WEB, ca))
      assert.notEqual((await requestOverMtls(port, ca.issueLeaf(CART))).serial, before.serial)
      assert.equal(await envoy.stat("sds.default.update_rejected"), 1)
      assert.equal(sds.answers.nack, 1)
      assert.equal(sds.warnings.length, 1)
    })
  }

  test("keeps its secrets while the SDS server is away, and takes the newest when it is back", async () => {
    await using folder = await makeScratch("sds")
    const ca = makeTestCa()
    const source = new FakeSource({ kind: "ready", view: meshView(1, WEB, ca) })
    const path = folder.path("sds.sock")
    const first = await listenSds({ path, source })
    await using envoy = await startWeb(path, {})
    const port = await envoy.listenerPort("in")
    const before = await requestOverMtls(port, ca.issueLeaf(CART))
    await first[Symbol.asyncDispose]()
    assert.equal(source.reports.has("web"), false)
    assert.equal((await requestOverMtls(port, ca.issueLeaf(CART))).serial, before.serial)
    source.ready(meshView(2, WEB, ca))
    await using second = await listenSds({ path, source })
    await until("both streams", () => second.streams() === 2 && source.reports.get("web")?.epoch === 2)
    assert.notEqual((await requestOverMtls(port, ca.issueLeaf(CART))).serial, before.serial)
  })

  /** Publish a view and wait until Envoy has taken all of it. */
  async function settled(source: FakeSource, view: ReturnType<typeof meshView>): Promise<void> {
    source.ready(view)
    await until(`epoch ${view.snapshot.epoch}`, () => source.reports.get("web")?.epoch === view.snapshot.epoch)
  }
})

interface WebOptions extends Pick<EnvoyMeshConfig, "api" | "metadata"> {
  readonly certificate?: string
  readonly until?: "live" | "admin"
}

function startWeb(path: string, options: WebOptions): Promise<Envoy> {
  const { certificate = "default", until: wanted = "live", ...config } = options
  const listener = { kind: "mtls", name: "in", certificate, trust: "ROOTCA", accept: [CART] } as const
  return startEnvoy({
    name: "web",
    until: wanted,
    bootstrapYaml: envoyMeshConfig({ id: "web", sds: { kind: "unix", path }, ...config, listeners: [listener] }),
  })
}
