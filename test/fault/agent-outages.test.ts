import assert from "node:assert/strict"
import { rename, rm, writeFile } from "node:fs/promises"
import { after, describe, type TestContext, test } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import type { LocalPod } from "../../src/main/demo/local-cluster.ts"
import { type AgentProcess, startAgentProcess } from "../support/agent-process.ts"
import { showLogsOnFailure } from "../support/peers/child.ts"
import { freePort } from "../support/peers/free-port.ts"
import { makeScratch, type Scratch } from "../support/scratch.ts"
import { initTrustDomain, type ServerProcess, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup, type ServerSetup } from "../support/server-setup.ts"
import { listenTcpProxy } from "../support/tcp-proxy.ts"
import { until } from "../support/until.ts"
import { WatchedWorkload } from "../support/watched-workload.ts"

/** Life of an SVID that must be renewed in time: after eight to twelve seconds, which leaves as many for a server to start in. */
const ROOMY = "20s"

describe("an agent, with SVIDs that soon expire and real processes", { concurrency: true, timeout: 300_000 }, () => {
  test("[AGT-09][AGT-17][AGT-37] server killed and started again: SVIDs are served throughout, then renewed; with a new root, it bootstraps again", async (t) => {
    await using bench = await openBench(ROOMY)
    const { workload, agent } = await bench.addAgent(t, "kept")
    await bench.killServer()
    await bench.startServer()
    const { left, bundle } = await workload.renewed(1, RENEWAL)
    assert.ok(left > 0)
    assert.deepEqual(workload.failures, [])

    await bench.killServer()
    await bench.makeTrustDomainAnew()
    await bench.startServer()
    await until("the new root", () => workload.served && workload.seen.at(-1)?.bundle[0] !== bundle[0], RECOVERY)
    assert.equal(workload.seen.at(-1)?.bundle.length, 1)
    assert.match(agent.log(), /bootstrapping again/)
    assert.ok(agent.running)
  })

  test("[AGT-09] server away for longer than the SVID lives: waiting, then recovered by itself", async (t) => {
    await using bench = await openBench("10s")
    const { workload, agent } = await bench.addAgent(t, "expired")
    await bench.killServer()
    await until("the expiry", () => !workload.served && workload.failures.includes("not-ready"), RENEWAL)
    assert.match(agent.log(), /the last SVID expired at/)
    const seen = workload.seen.length
    await bench.startServer()
    const { left } = await workload.renewed(seen, RECOVERY)
    assert.ok(left > 0)
  })

  describe("while the server runs on", { concurrency: true }, () => {
    const opening = openBench(ROOMY)
    after(async () => await (await opening)[Symbol.asyncDispose]())

    test("[AGT-10] process stopped for longer than the SVID lives: nothing expired is served, and it recovers", async (t) => {
      const bench = await opening
      const { workload, agent } = await bench.addAgent(t, "asleep")
      const first = workload.seen[0]
      assert.ok(first !== undefined)
      agent.signal("SIGSTOP")
      await delay(first.left + 1000) // the fault itself: sleep past the expiry
      const seen = workload.seen.length
      agent.signal("SIGCONT")
      const { left } = await workload.renewed(seen, RECOVERY)
      assert.ok(left > 0)
      assert.deepEqual(
        workload.seen.filter((svid) => svid.left <= 0),
        [],
      )
    })

    test("[AGT-30] token expired, then the file replaced as the kubelet does: the next try uses the new one", async (t) => {
      const bench = await opening
      const { workload, agent, pod } = await bench.addAgent(t, "projected")
      const project = async (lifetime: number) => {
        await writeFile(`${agent.tokenFile}.new`, bench.setup.token({ pod, lifetime }))
        await rename(`${agent.tokenFile}.new`, agent.tokenFile)
      }
      await project(0)
      await until("a refused renewal", () => agent.log().includes("token has expired"), RENEWAL)
      const seen = workload.seen.length
      await project(3600)
      await workload.renewed(seen, RENEWAL)
      assert.deepEqual(workload.failures, [])
    })

    test("[AGT-08][AGT-17] connections dropped again and again: SVIDs are served throughout and renewed", async (t) => {
      const bench = await opening
      await using proxy = await listenTcpProxy(bench.port)
      const { workload } = await bench.addAgent(t, "flapping", proxy.port)
      const done = new AbortController()
      const flapping = flap(proxy, done.signal)
      await workload.renewed(workload.seen.length, RENEWAL)
      await workload.renewed(workload.seen.length, RENEWAL)
      done.abort()
      await flapping
      assert.ok(proxy.dropped > 5, `${proxy.dropped} dropped`)
      assert.deepEqual(workload.failures, [])
    })
  })
})

/** One server and its agents. */
interface Bench extends AsyncDisposable {
  readonly setup: ServerSetup
  readonly port: number
  /** Start an agent that calls the server at `port`, and wait for its first SVID. */
  addAgent(
    t: TestContext,
    name: string,
    port?: number,
  ): Promise<{ readonly agent: AgentProcess; readonly workload: WatchedWorkload; readonly pod: LocalPod }>
  startServer(): Promise<void>
  killServer(): Promise<void>
  /** Throw away store and keys, make the trust domain again, and replace the bundle file of the agents. */
  makeTrustDomainAnew(): Promise<void>
}

async function openBench(svidTtl: string): Promise<Bench> {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(await makeScratch("outage"))
  const port = await freePort()
  const setup = await makeServerSetup(scratch.directory, {
    listen: { grpc: `127.0.0.1:${port}`, health: "127.0.0.1:0" },
    x509: { ttl: svidTtl },
  })
  let { bundleFile } = await initTrustDomain(setup)
  let server: ServerProcess | undefined = await startServerProcess(setup)
  stack.defer(() => server?.[Symbol.asyncDispose]())
  const open = stack.move()
  const addAgent: Bench["addAgent"] = async (t, name, at = port) => {
    const pod = setup.cluster.createPod("shop", name, `${name}-0`)
    const token = setup.token({ pod })
    const { trustDomain } = setup
    const terms = { name, folder: scratch.path(name), trustDomain, server: `127.0.0.1:${at}`, bundleFile, token }
    const agent = open.use(await startAgentProcess(terms))
    showLogsOnFailure(t, agent)
    const workload = open.use(new WatchedWorkload(agent.socket))
    await workload.renewed(0, RECOVERY)
    workload.failures.length = 0
    return { agent, workload, pod }
  }
  return {
    setup,
    port,
    addAgent,
    startServer: async () => {
      server = await startServerProcess(setup)
    },
    killServer: async () => {
      server?.signal("SIGKILL")
      await server?.[Symbol.asyncDispose]()
    },
    makeTrustDomainAnew: async () => {
      await removeState(scratch)
      ;({ bundleFile } = await initTrustDomain(setup))
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

async function removeState(scratch: Scratch): Promise<void> {
  for (const name of ["assay.db", "assay.db-wal", "assay.db-shm", "keys"]) {
    await rm(scratch.path(name), { recursive: true, force: true })
  }
}

async function flap(proxy: { cut(): void; mend(): void }, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    proxy.cut()
    await delay(200)
    proxy.mend()
    await delay(800, undefined, { signal }).catch(() => undefined)
  }
}

/** Milliseconds. */
const RENEWAL = 60_000
/** The longest pause between tries is 30 s. */
const RECOVERY = 90_000
