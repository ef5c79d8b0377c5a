import { writeFile } from "node:fs/promises"
import { type TestContext, test } from "node:test"
import { type AgentProcess, startAgentProcess } from "../support/agent-process.ts"
import { showLogsOnFailure } from "../support/peers/child.ts"
import { freePort } from "../support/peers/free-port.ts"
import { runAssay } from "../support/run-assay.ts"
import { Runbook } from "../support/runbook.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, type ServerProcess, startServerProcess } from "../support/server-process.ts"
import { type ConfigOverrides, makeServerSetup } from "../support/server-setup.ts"
import { WatchedWorkload } from "../support/watched-workload.ts"

/** What a runbook is tried on: a real server, which stops and starts as its operator wants, and real agents. */
export interface Drill {
  readonly book: Runbook
  readonly folder: string
  readonly server: ServerProcess
  /** `program`: arguments of Node that start the command line. */
  readonly startServer: (program?: readonly string[]) => Promise<void>
  readonly stopServer: () => Promise<void>
  /** With a workload that watches it, once that has its first SVID. */
  readonly addAgent: (name: string) => Promise<{ readonly agent: AgentProcess; readonly workload: WatchedWorkload }>
}

/** A test that plays a runbook: at its end each command of the runbook must have been run. */
export function drill(
  name: string,
  title: string,
  config: ConfigOverrides,
  play: (drill: Drill, t: TestContext) => Promise<void>,
): void {
  test(`runbook ${name}: ${title}`, { timeout: 600_000 }, async (t) => {
    await using stack = new AsyncDisposableStack()
    const scratch = stack.use(await makeScratch("drill"))
    const port = await freePort()
    const listen = { grpc: `127.0.0.1:${port}`, health: "127.0.0.1:0" }
    const setup = await makeServerSetup(scratch.directory, { listen, drain: { timeout: "1s" }, ...config })
    await initTrustDomain(setup)
    const book = await Runbook.open(name, scratch.directory)
    let server: ServerProcess | undefined
    stack.defer(() => server?.[Symbol.asyncDispose]())
    const agents = stack.use(new AsyncDisposableStack())
    const opened: Drill = {
      book,
      folder: scratch.directory,
      get server() {
        if (server === undefined) throw new TypeError("the server was not started")
        return server
      },
      startServer: async (program) => {
        server = await startServerProcess(setup, program)
      },
      stopServer: async () => server?.[Symbol.asyncDispose](),
      addAgent: async (agentName) => {
        const bundleFile = scratch.path("agents-bundle.pem")
        await writeFile(bundleFile, (await runAssay(["bundle", "show", "-c", setup.configFile])).out)
        const { trustDomain } = setup
        const token = setup.token({ serviceAccount: agentName })
        const terms = { trustDomain, server: `127.0.0.1:${port}`, bundleFile, token }
        const agent = agents.use(
          await startAgentProcess({ ...terms, name: agentName, folder: scratch.path(agentName) }),
        )
        showLogsOnFailure(t, agent)
        const workload = agents.use(new WatchedWorkload(agent.socket))
        await workload.renewed(0, FIRST_MILLIS)
        // That it was asked before it had anything is no failure.
        workload.failures.length = 0
        return { agent, workload }
      },
    }
    await opened.startServer()
    await play(opened, t)
    book.demandAllRun()
  })
}

const FIRST_MILLIS = 120_000
