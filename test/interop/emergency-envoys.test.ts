import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { describe, test } from "node:test"
import type { AuthorityRecord } from "../../src/ports/authority-journal.ts"
import { envoyMeshConfig, type SdsPeer } from "../support/envoy-config.ts"
import { openLiveMesh } from "../support/live-mesh.ts"
import { type Envoy, startEnvoy } from "../support/peers/envoy.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { openRequestLoop } from "../support/request-loop.ts"
import { forgeSvid } from "../support/rotation-mesh/forged-svid.ts"
import { RotationOperator } from "../support/rotation-mesh/rotation-operator.ts"
import { isAccepted, type StolenSvid } from "../support/rotation-mesh/stolen-svid.ts"
import { makeScratch } from "../support/scratch.ts"
import { until } from "../support/until.ts"

const CART = "spiffe://example.org/ns/shop/sa/cart"
const SERVERS = ["spiffe://example.org/ns/shop/sa/web", "spiffe://example.org/ns/shop/sa/pay"]

describe("an emergency in the middle of a rotation, below real Envoys", { skip: await skipWithout("envoy") }, () => {
  for (const phase of ["published", "draining"]) {
    test(`[ROT-38][ROT-66] in ${phase}: by agent and by remote SDS, nobody accepts what either of both roots signs, and honest calls go on`, async (t) => {
      await using folder = await makeScratch("emergency")
      await using mesh = await openLiveMesh(folder.directory, { svidTtl: 60, issuingTtl: 3600, rotationSkew: 1 })
      const remote: SdsPeer = {
        ...{ kind: "remote", target: `dns:///localhost:${mesh.port}` },
        ...{ rootsFile: mesh.rootsFile, tokenFile: await mesh.writeToken("pay") },
      }
      await using web = await inbound("web", { kind: "unix", path: await mesh.startAgent("web") })
      await using pay = await inbound("pay", remote)
      const caller: SdsPeer = { kind: "unix", path: await mesh.startAgent("cart") }
      await using cart = await outbound(caller, await Promise.all([web, pay].map((to) => to.listenerPort("in"))))
      const operator = new RotationOperator(mesh.adminSocket)
      await rotateTo(operator, phase)
      const stolen = await mesh.readKeyFolder()
      const roots = stolen.record.roots
      assert.equal(roots.length, 2)
      const forged = await Promise.all(roots.map((root) => forgeSvid(stolen, root, CART)))
      const ports = await Promise.all([web, pay].map((envoy) => envoy.listenerPort("in")))
      assert.equal(await accepted(forged, ports), 4, "both are trusted until then")

      const begun = Date.now()
      await operator.emergency("the key folder was copied")
      await until("everybody refuses all of it", async () => (await accepted(forged, ports)) === 0, 30_000)
      t.diagnostic(`nobody accepts either after ${((Date.now() - begun) / 1000).toFixed(2)} s`)
      const { record } = await mesh.readKeyFolder()
      const [active, ...others] = record.roots.filter(({ state }) => state !== "removed")
      assert.deepEqual([active?.state, others], ["active", []])
      for (const envoy of [web, pay, cart]) {
        await until(
          `the fresh root alone at ${envoy.name}`,
          async () => String(await trusted(envoy)) === String(serialsOf(record)),
        )
      }
      for (const name of ["to-0", "to-1"]) {
        await using loop = openRequestLoop(`http://127.0.0.1:${await cart.listenerPort(name)}/`, 1)
        await until("honest calls", () => loop.succeeded > 20, 30_000)
      }
      await until("nobody to wait for", async () => (await operator.status()).phase === "retired", 30_000)
      await operator.advance()
      const left = (await mesh.readKeyFolder()).record.roots.map(({ keyId }) => keyId)
      assert.deepEqual(left, [active?.keyId])
      for (const { keyId } of roots) await assert.rejects(stolen.keys.open(keyId), { code: "not-found" })
    })
  }
})

async function rotateTo(operator: RotationOperator, phase: string): Promise<void> {
  const reached = (...wanted: readonly string[]) =>
    until(wanted.join(" or "), async () => wanted.includes((await operator.status()).phase), 30_000)
  await operator.start(false)
  await reached("keyed")
  await operator.advance()
  await reached("published")
  if (phase === "published") return
  await operator.advance()
  await reached("draining")
}

/** How many of the pairs of certificate and door go together. */
async function accepted(forged: readonly StolenSvid[], ports: readonly number[]): Promise<number> {
  const answers = await Promise.all(forged.flatMap((svid) => ports.map((port) => isAccepted(svid, port))))
  return answers.filter(Boolean).length
}

/** Serial numbers of the roots that an Envoy trusts. */
async function trusted(envoy: Envoy): Promise<readonly string[]> {
  const { certificates }: AdminCertificates = JSON.parse(await envoy.admin("/certs"))
  const serials = certificates.flatMap(({ ca_cert: roots }) => roots.map((root) => numberOf(root.serial_number)))
  return [...new Set(serials)]
}

function serialsOf({ roots }: AuthorityRecord): readonly string[] {
  const there = roots.filter(({ state }) => state !== "removed")
  return there.map(({ certificate }) => numberOf(new X509Certificate(certificate).serialNumber))
}

/** One spelling, whatever zeros it begins with. */
function numberOf(hex: string): string {
  return BigInt(`0x${hex}`).toString(16)
}

function inbound(name: string, sds: SdsPeer): Promise<Envoy> {
  const listener = { kind: "mtls", name: "in", certificate: "default", trust: "ROOTCA", accept: [CART] } as const
  return startEnvoy({ name, bootstrapYaml: envoyMeshConfig({ id: name, sds, listeners: [listener] }) })
}

function outbound(sds: SdsPeer, ports: readonly number[]): Promise<Envoy> {
  const secrets = { certificate: "default", trust: "ROOTCA", accept: SERVERS }
  const listeners = ports.map((port, index) => ({ kind: "client", name: `to-${index}`, port, ...secrets }) as const)
  return startEnvoy({ name: "cart", bootstrapYaml: envoyMeshConfig({ id: "cart", sds, listeners }) })
}

interface AdminCertificates {
  readonly certificates: readonly { readonly ca_cert: readonly { readonly serial_number: string }[] }[]
}
