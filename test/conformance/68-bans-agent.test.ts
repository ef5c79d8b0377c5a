import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { test } from "node:test"
import { keyNameOf } from "../../src/core/ban/key-name.ts"
import { startAgentProcess } from "../support/agent-process.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { until } from "../support/until.ts"
import { type SeenSvid, WatchedWorkload } from "../support/watched-workload.ts"

test("[REVO-02] a workload behind a real agent has its identity no more once it is banned; the one beside it keeps its own", async () => {
  await using stack = new AsyncDisposableStack()
  const { setup, behindAgent } = await openServer(stack)
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

test("[BAN-16][BAN-14] a workload behind a real agent has another key at once when its key is banned, and is never without one", async () => {
  await using stack = new AsyncDisposableStack()
  const { setup, behindAgent } = await openServer(stack)
  const workload = await behindAgent("web")
  const key = keyOf(await workload.renewed(0, 20_000))
  const [known, failures] = [workload.seen.length, workload.failures.length]
  const ban = (...more: readonly string[]) =>
    runAssay(["ban", "add", "key", key, "--reason", "copied", "-c", setup.configFile, ...more])
  const tried = await ban()
  assert.match(tried.out, /^It would tell 1 live stream to go on with another key\.\nOne holds certificates, the last/m)
  const { code, out, err } = await ban("--yes")
  assert.equal(code, 0, err)
  assert.match(out, /^1 live stream told\.\nOne holds certificates, the last until/m)
  const renewed = await workload.renewed(known, 10_000)
  assert.notEqual(keyOf(renewed), key)
  assert.equal(workload.failures.length, failures)
})

/** A real server, and workloads of service accounts behind real agents. */
async function openServer(stack: AsyncDisposableStack) {
  const scratch = stack.use(await makeScratch())
  const setup = await makeServerSetup(scratch.directory)
  const { bundleFile } = await initTrustDomain(setup)
  const server = stack.use(await startServerProcess(setup))
  const behindAgent = async (serviceAccount: string): Promise<WatchedWorkload> => {
    const { trustDomain } = setup
    const token = setup.token({ serviceAccount })
    const terms = { name: serviceAccount, folder: scratch.path(serviceAccount), trustDomain, token }
    const agent = stack.use(await startAgentProcess({ ...terms, server: server.address, bundleFile }))
    return stack.use(new WatchedWorkload(agent.socket))
  }
  return { setup, behindAgent }
}

function keyOf({ chain: [leaf] }: SeenSvid): string {
  const { publicKey } = new X509Certificate(leaf ?? assert.fail("no certificate"))
  return keyNameOf(publicKey.export({ format: "der", type: "spki" }))
}
