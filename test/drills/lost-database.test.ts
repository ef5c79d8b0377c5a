import assert from "node:assert/strict"
import { rm } from "node:fs/promises"
import { join } from "node:path"
import { runAssay } from "../support/run-assay.ts"
import { drill } from "./drill.ts"

drill(
  "lost-database",
  "roots and keys are those of the key folder; agents renew below the same root",
  { x509: { ttl: "20s" } },
  async ({ book, folder, startServer, stopServer, addAgent }) => {
    const { agent, workload } = await addAgent("web")
    const [root] = workload.seen.at(-1)?.bundle ?? []
    await stopServer()
    for (const name of ["assay.db", "assay.db-wal", "assay.db-shm"]) await rm(join(folder, name), { force: true })
    const init = await runAssay(["init", "-c", join(folder, "assay.yaml")])
    assert.match(init.err, /store-lost/)

    await book.run("What to do", 0)
    await book.run("What to do", 1)
    const seen = workload.seen.length
    await startServer()
    const shown = await book.run("What to do", 2)
    assert.match(shown, /ready +yes[\s\S]*BEGIN CERTIFICATE[\s\S]*store\.restored/)
    const { left, bundle } = await workload.renewed(seen, RECOVERY)
    assert.ok(left > 0 && agent.running)
    assert.deepEqual(bundle, [root])
  },
)

/** The longest pause of an agent between tries is 30 s. */
const RECOVERY = 60_000
