import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { envoyMeshConfig, type SdsPeer } from "../support/envoy-config.ts"
import { type LiveMesh, openLiveMesh } from "../support/live-mesh.ts"
import { startEnvoy } from "../support/peers/envoy.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { openRequestLoop } from "../support/request-loop.ts"
import { makeScratch } from "../support/scratch.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://example.org/ns/shop/sa/web"
const CART = "spiffe://example.org/ns/shop/sa/cart"

describe("two real Envoys fed by Assay itself", { skip: await skipWithout("envoy"), concurrency: true }, () => {
  for (const kind of ["unix", "remote"] as const) {
    const where = kind === "unix" ? "from two agents" : "from the server, by token"
    test(`SDS ${where}: no request fails across ten rotations of leaves and issuing authorities under load`, async () => {
      await using folder = await makeScratch("mesh")
      await using mesh = await openLiveMesh(folder.directory, { svidTtl: 10, issuingTtl: 8 })
      await using inbound = await startEnvoy({
        name: "web",
        bootstrapYaml: envoyMeshConfig({
          id: "web",
          sds: await peerOf(mesh, kind, "web"),
          listeners: [{ kind: "mtls", name: "in", certificate: "default", trust: "ROOTCA", accept: [CART] }],
        }),
      })
      const port = await inbound.listenerPort("in")
      await using outbound = await startEnvoy({
        name: "cart",
        bootstrapYaml: envoyMeshConfig({
          id: "cart",
          api: "DELTA_GRPC",
          sds: await peerOf(mesh, kind, "cart"),
          listeners: [{ kind: "client", name: "out", port, certificate: "default", trust: "ALL", accept: [WEB] }],
        }),
      })
      await using loop = openRequestLoop(`http://127.0.0.1:${await outbound.listenerPort("out")}/`, 2)
      const issuers = () => new Set([...loop.bodies].map((body) => body.split(" ").slice(2).join(" "))).size
      await until("ten rotations in use", () => issuers() > 10 || loop.failures.length > 0, 120_000)
      assert.deepEqual(loop.failures, [])
      assert.ok([...loop.bodies].every((body) => body.startsWith(`${CART} `)))
      assert.ok(loop.bodies.size > 10)
      assert.ok((await inbound.stat("sds.default.update_success")) > 8)
      assert.equal(await inbound.stat("sds.ROOTCA.update_rejected"), 0)
      assert.ok(inbound.running && outbound.running)
    })
  }
})

async function peerOf(mesh: LiveMesh, kind: SdsPeer["kind"], serviceAccount: string): Promise<SdsPeer> {
  if (kind === "unix") return { kind, path: await mesh.startAgent(serviceAccount) }
  const tokenFile = await mesh.writeToken(serviceAccount)
  return { kind, target: `dns:///localhost:${mesh.port}`, rootsFile: mesh.rootsFile, tokenFile }
}
