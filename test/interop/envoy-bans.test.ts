import assert from "node:assert/strict"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { describe, test } from "node:test"
import { certifiedKeyName } from "../../src/core/ban/key-name.ts"
import { envoyMeshConfig, type SdsPeer } from "../support/envoy-config.ts"
import { openLiveMesh } from "../support/live-mesh.ts"
import { type Envoy, startEnvoy } from "../support/peers/envoy.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { until } from "../support/until.ts"

const ID = (name: string) => `spiffe://example.org/ns/shop/sa/${name}`

describe("a ban of real Envoys", { skip: await skipWithout("envoy") }, () => {
  test("[REVO-02][BAN-11] its stream ends and is refused again and again, it is given nothing new, and is back without a restart once it was lifted", async (t) => {
    await using folder = await makeScratch("envoy-ban")
    await using mesh = await openLiveMesh(folder.directory, { svidTtl: SVID_TTL, issuingTtl: 3600 })
    const tokenFile = await mesh.writeToken("pay")
    const target = `dns:///localhost:${mesh.port}`
    await using web = await inbound("web", { kind: "unix", path: await mesh.startAgent("web") })
    await using pay = await inbound("pay", { kind: "remote", target, rootsFile: mesh.rootsFile, tokenFile })
    const envoys = [web, pay]
    const operate = async (...words: readonly string[]) => {
      for (const name of ["web", "pay"]) {
        const [verb = "", ...flags] = words
        const args = ["ban", verb, "identity", ID(name), "--reason", "drill", ...flags]
        const { code, err } = await runAssay([...args, "--admin-socket", mesh.adminSocket])
        assert.equal(code, 0, err)
      }
    }
    const refusals = (name: string) => refusalsOf(join(folder.directory, "assay.db"), `/${name}/`)
    assert.deepEqual([refusals("web"), refusals("pay")], [[], []])

    await operate("add", "--yes")
    await pay.untilStat("sds.default.control_plane.connected_state", (state) => state === 0)
    await pay.untilStat(PERMISSION_DENIED, (count) => count >= 3, WAIT)
    const held = await Promise.all(envoys.map(holdings))
    const isRecorded = () => refusals("web").length > 0 && refusals("pay").length > 0
    await until("the refusal of both, in the audit log", isRecorded, WAIT)
    assert.deepEqual([...new Set([...refusals("web"), ...refusals("pay")])], ["policy-denied banned"])
    const refused = await pay.stat(PERMISSION_DENIED)
    await pay.untilStat(PERMISSION_DENIED, (count) => count > refused, WAIT)
    // What it has is not taken from it by force, and it has no other when that is over.
    for (const { notAfter } of held) await until("the end of what it holds", () => Date.now() > notAfter, WAIT)
    assert.deepEqual(await Promise.all(envoys.map(holdings)), held)
    for (const envoy of envoys) assert.equal(await envoy.stat("sds.default.update_rejected"), 0)

    await operate("lift")
    const begun = Date.now()
    for (const [index, envoy] of envoys.entries()) {
      const isBack = async () => {
        const { serial, notAfter } = await holdings(envoy)
        return serial !== held[index]?.serial && notAfter > Date.now()
      }
      await until(`a new certificate of ${envoy.name}`, isBack, RETURN)
      t.diagnostic(`${envoy.name} is back ${((Date.now() - begun) / 1000).toFixed(0)} s after the ban was lifted`)
      assert.equal(await envoy.stat("sds.default.control_plane.connected_state"), 1)
    }
    assert.ok(web.running && pay.running)
  })

  test("[BAN-16] when its key is banned it has another at once, without a restart or a new stream, behind an agent and at remote SDS", async () => {
    await using folder = await makeScratch("envoy-ban-key")
    await using mesh = await openLiveMesh(folder.directory, { svidTtl: LONG_TTL, issuingTtl: 7200 })
    const tokenFile = await mesh.writeToken("pay")
    const target = `dns:///localhost:${mesh.port}`
    await using web = await inbound("web", { kind: "unix", path: await mesh.startAgent("web") })
    await using pay = await inbound("pay", { kind: "remote", target, rootsFile: mesh.rootsFile, tokenFile })
    for (const envoy of [web, pay]) {
      await until("a certificate", async () => (await serials(envoy)).length > 0, WAIT)
      const { serial } = await holdings(envoy)
      const opened = await streamsOf(envoy)
      const key = loggedKey(join(folder.directory, "assay.db"), serial)
      const args = ["ban", "add", "key", key, "--reason", "drill", "--yes", "--admin-socket", mesh.adminSocket]
      const { code, out, err } = await runAssay(args)
      assert.equal(code, 0, err)
      assert.match(out, /^1 live stream told\.$/m)
      await until(`another certificate of ${envoy.name}`, async () => (await holdings(envoy)).serial !== serial, WAIT)
      assert.notEqual(loggedKey(join(folder.directory, "assay.db"), (await holdings(envoy)).serial), key)
      assert.equal(await envoy.stat("sds.default.update_rejected"), 0)
      assert.equal(await envoy.stat("sds.default.control_plane.connected_state"), 1)
      assert.equal(await streamsOf(envoy), opened)
    }
    assert.ok(web.running && pay.running)
  })
})

/** How bans name the key of the certificate with this serial, by the issuance log. */
function loggedKey(database: string, serial: string): string {
  using db = new DatabaseSync(database, { readOnly: true })
  const { tbs } = db.prepare("SELECT tbs FROM intent WHERE serial = ?").get(serial) ?? assert.fail(`no ${serial}`)
  return certifiedKeyName(tbs instanceof Uint8Array ? tbs : assert.fail("no bytes"))
}

/** How many streams it has opened for its secrets: to an agent, and to a server. */
async function streamsOf(envoy: Envoy): Promise<number> {
  const opened = await Promise.all([envoy.stat("cluster.sds.upstream_rq_total"), envoy.stat(REMOTE_STREAMS)])
  return opened.find((count) => count > 0) ?? assert.fail("no stream was opened")
}

async function serials(envoy: Envoy): Promise<readonly string[]> {
  const { certificates }: AdminCertificates = JSON.parse(await envoy.admin("/certs"))
  return certificates.flatMap(({ cert_chain: chain }) => chain.map(({ serial_number }) => serial_number))
}

/** What it shows, and the newest version of it that it took. */
async function holdings(envoy: Envoy) {
  const { certificates }: AdminCertificates = JSON.parse(await envoy.admin("/certs"))
  const leaf = certificates.flatMap(({ cert_chain: [first] }) => first ?? [])[0] ?? assert.fail("it shows nothing")
  const version = await envoy.stat("sds.default.version")
  return { serial: leaf.serial_number, notAfter: Date.parse(leaf.expiration_time), version }
}

/** Code and reason of each time that something was refused to a workload whose name contains `part`. */
function refusalsOf(database: string, part: string): readonly string[] {
  using db = new DatabaseSync(database, { readOnly: true, timeout: 10_000 })
  const rows = db.prepare("SELECT actor, data FROM audit_event WHERE type IN ('svid.refused', 'stream.refused')").all()
  const records = rows.filter(({ actor }) => String(actor).includes(part)).map(({ data }) => JSON.parse(String(data)))
  return records.map(({ code, reason }) => `${code} ${reason}`)
}

function inbound(name: string, sds: SdsPeer): Promise<Envoy> {
  const listener = { kind: "mtls", name: "in", certificate: "default", trust: "ROOTCA", accept: [ID("cart")] } as const
  return startEnvoy({ name, bootstrapYaml: envoyMeshConfig({ id: name, sds, listeners: [listener] }) })
}

interface AdminCertificates {
  readonly certificates: readonly {
    readonly cert_chain: readonly { readonly serial_number: string; readonly expiration_time: string }[]
  }[]
}

const REMOTE_STREAMS = "sds.default.grpc.sds.streams_total"
const PERMISSION_DENIED = "sds.default.grpc.sds.streams_closed_7"
const SVID_TTL = 20
/** Nothing is renewed by itself in the time of a test. */
const LONG_TTL = 3600
const WAIT = 60_000
/** An agent that was denied comes back within five minutes, sooner the shorter it was. */
const RETURN = 300_000
