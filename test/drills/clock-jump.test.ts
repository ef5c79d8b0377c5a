import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { PROJECT } from "../support/project-files.ts"
import { until } from "../support/until.ts"
import { drill } from "./drill.ts"

drill(
  "clock-jump",
  "the server signs nothing until the clock is back, or it is started anew; agents serve on and renew",
  { x509: { ttl: "20s" } },
  async ({ book, folder, server: _first, startServer, stopServer, addAgent }) => {
    const file = join(folder, "shift")
    const shift = (seconds: number) => writeFile(file, String(seconds))
    const url = pathToFileURL(join(PROJECT, "test/fault/clock-shift.ts"))
    url.searchParams.set("file", pathToFileURL(file).href)
    const program = ["--import", url.href, join(PROJECT, "src/main/cli.ts")]
    const isReady = (wanted: "yes" | "no") =>
      until(`ready: ${wanted}`, async () => new RegExp(`ready +${wanted}`).test(await book.run("What you see")), 60_000)
    await shift(0)
    await stopServer()
    await startServer(program)
    const { agent, workload } = await addAgent("web")

    await shift(300)
    await isReady("no")
    await until("a refused renewal", () => agent.log().includes("clock"), 60_000)
    const seen = workload.seen.length
    await shift(0)
    await isReady("yes")
    assert.ok((await workload.renewed(seen, 60_000)).left > 0)

    assert.match(await book.run("What to do", 0), /UTC/)
    await shift(-300)
    await isReady("no")
    await stopServer()
    await startServer(program)
    await isReady("yes")
    assert.match(await book.run("What to do", 1), /sa\/web/)
  },
)
