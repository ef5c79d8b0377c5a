import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { rename } from "node:fs/promises"
import { join } from "node:path"
import { runAssay } from "../support/run-assay.ts"
import { until } from "../support/until.ts"
import { type Drill, drill } from "./drill.ts"

drill(
  "restore",
  "a backup from before a rotation comes back; agents go on, below the root of after it",
  { x509: { ttl: "20s" }, rotation: { skew: "1s", wave_share: "100%" } },
  async ({ book, folder, startServer, stopServer, addAgent }) => {
    const { agent, workload } = await addAgent("web")
    await book.run("Beforehand")
    // It renews meanwhile, by certificates that the backup does not know.
    await rotate(folder)
    await until("the new root alone", () => workload.seen.at(-1)?.bundle.length === 1, RECOVERY)
    const before = await statusOf(folder)
    const [root] = workload.seen.at(-1)?.bundle ?? []
    await stopServer()
    for (const name of ["assay.db", "assay.db-wal", "assay.db-shm"]) {
      await rename(join(folder, name), join(folder, `${name}.broken`)).catch(() => undefined)
    }
    const gone = await runAssay(["server", "-c", join(folder, "assay.yaml")])
    assert.match(gone.err, /not-found/)

    assert.match(await book.run("What to do", 0), /authorities of the key folder/)
    await book.run("What to do", 1)
    const seen = workload.seen.length
    await startServer()
    assert.match(await book.run("What to do", 2), /ready +yes/)
    const { left, bundle, chain } = await workload.renewed(seen, RECOVERY)
    assert.ok(left > 0 && agent.running)
    assert.deepEqual(bundle, [root], "the root of after the rotation, which the backup does not know")
    const [, issuer] = chain.map((der) => new X509Certificate(der))
    assert.ok(issuer?.verify(new X509Certificate(Buffer.from(root ?? "", "hex")).publicKey))
    const after = await statusOf(folder)
    assert.notEqual(after.incarnation, before.incarnation)
    assert.ok(after.epoch >= before.epoch + 1_000_000)
    await until("its row", async () => (await statusOf(folder)).subscribers.count === 1)
  },
)

async function rotate(folder: Drill["folder"]): Promise<void> {
  const config = join(folder, "assay.yaml")
  assert.equal((await runAssay(["rotation", "start", "--auto", "-c", config])).code, 0)
  assert.equal((await runAssay(["rotation", "status", "--watch", "-c", config])).code, 0)
}

async function statusOf(
  folder: string,
): Promise<{ incarnation: string; epoch: number; subscribers: { count: number } }> {
  const { out, err } = await runAssay(["status", "-o", "json", "-c", join(folder, "assay.yaml")])
  return JSON.parse(out || err)
}

/** The longest pause of an agent between tries is 30 s. */
const RECOVERY = 60_000
