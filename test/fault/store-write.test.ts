import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { startAgentProcess } from "../support/agent-process.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { until } from "../support/until.ts"

test("[STO-41][IDA-35] a server whose store cannot be written says so once, is not ready, and is again by itself", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  const { bundleFile } = await initTrustDomain(setup)
  await using server = await startServerProcess(setup)
  const answers = (status: number) => async () => (await fetch(`${server.healthUrl}/ready`)).status === status
  const count = (message: string) => server.log().split(`"msg":"${message}`).length - 1
  using other = new DatabaseSync(scratch.path("assay.db"))
  other.exec("BEGIN IMMEDIATE") // as a full disk: nothing can be written, and all can be read
  const { trustDomain } = setup
  const terms = { name: "a", folder: scratch.path("a"), trustDomain, server: server.address, bundleFile }
  await using agent = await startAgentProcess({ ...terms, token: setup.token() })
  await until("the server not to be ready", answers(503), 60_000)
  await until("the log to say why", () => count("not ready: nothing is issued") > 0, 60_000)
  other.exec("ROLLBACK")
  await until("the server to be ready again", answers(200), 60_000)
  await until("an identity", () => agent.log().includes("identities ready"), 60_000)
  await until("the log to say so", () => count("ready again") > 0)
  const said = ["not ready: nothing is issued", "ready again"].map(count)
  assert.deepEqual(said, [1, 1])
})
