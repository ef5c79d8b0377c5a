import assert from "node:assert/strict"
import { test } from "node:test"
import { startAgentProcess } from "../support/agent-process.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { until } from "../support/until.ts"
import { WatchedWorkload } from "../support/watched-workload.ts"

test("[REVO-02] a workload behind a real agent has its identity no more once it is banned; the one beside it keeps its own", async () => {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(await makeScratch())
  const setup = await makeServerSetup(scratch.directory)
  const { bundleFile } = await initTrustDomain(setup)
  const server = stack.use(await startServerProcess(setup))
  const behindAgent = async (serviceAccount: string) => {
    const token = setup.token({ serviceAccount })
    const { trustDomain } = setup
    const terms = { name: serviceAccount, folder: scratch.path(serviceAccount), trustDomain, token }
    const agent = stack.use(await startAgentProcess({ ...terms, server: server.address, bundleFile }))
    return stack.use(new WatchedWorkload(agent.socket))
  }
  const [banned, other] = [await behindAgent("banned"), await behindAgent("other")]
  await until("both identities", () => banned.served && other.served, 20_000)
  const failures = other.failures.length
  const name = "spiffe://prod.example/ns/shop/sa/banned"
  const { code, err } = await runAssay([
    ...["ban", "add", "identity", name, "--reason", "drill", "--yes"],
    ...["-c", setup.configFile],
  ])
  assert.equal(code, 0, err)
  const isDenied = () => !banned.served && banned.failures.at(-1) === "no-identity"
  await until("the workload to be denied", isDenied, 20_000)
  assert.deepEqual([other.served, other.failures.length], [true, failures])
})
