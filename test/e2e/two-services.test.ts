import assert from "node:assert/strict"
import { join } from "node:path"
import { after, before, describe, type TestContext, test } from "node:test"
import { type AgentProcess, startAgentProcess } from "../support/agent-process.ts"
import { Child, showLogsOnFailure } from "../support/peers/child.ts"
import { freePort } from "../support/peers/free-port.ts"
import { PROJECT } from "../support/project-files.ts"
import { makeScratch, type Scratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup, type ServerSetup } from "../support/server-setup.ts"
import { until } from "../support/until.ts"

/** What `web` prints of one answer. */
interface Answer {
  readonly status: number
  readonly caller: string
  /** Of the certificate of `web`. */
  readonly serial: string
  readonly subject: string
  readonly scopes: readonly string[]
}

describe("deploy/examples/two-services, with SVIDs of twenty seconds and real processes", { timeout: 400_000 }, () => {
  const stack = new AsyncDisposableStack()
  let mesh: Mesh
  before(async () => {
    mesh = stack.use(await openMesh())
  })
  after(() => stack.disposeAsync())

  test("[CLT-08] [CLT-12] no request fails while certificates and tokens are renewed", async (t) => {
    const orders = await mesh.startOrders(t)
    const web = await mesh.startWeb(t, "web", orders)
    await until("three certificates", () => serialsOf(web).size >= 3 || failuresOf(web) > 0, 120_000)
    assert.equal(failuresOf(web), 0, web.logTail())
    for (const { status, caller, subject, scopes } of answersOf(web)) {
      assert.deepEqual([status, caller, subject], [200, `${ID}/web`, `${ID}/web`])
      assert.deepEqual(scopes, ["orders.read"])
    }
  })

  test("[CLT-02] [CLT-03] an agent that is started again is not noticed", async (t) => {
    const orders = await mesh.startOrders(t)
    const web = await mesh.startWeb(t, "web", orders)
    await until("an answer", () => answersOf(web).length > 0)
    await mesh.restartAgent("web")
    const before = serialsOf(web).size
    await until("the next certificate", () => serialsOf(web).size > before || failuresOf(web) > 0, 120_000)
    assert.equal(failuresOf(web), 0, web.logTail())
    assert.ok(answersOf(web).every(({ status }) => status === 200))
  })

  test("[CLT-06] another service is not answered", async (t) => {
    const orders = await mesh.startOrders(t)
    const cart = await mesh.startWeb(t, "cart", orders)
    await until("the failure", () => failuresOf(cart) > 0, 60_000)
    assert.deepEqual(answersOf(cart), [])
  })
})

interface Mesh extends AsyncDisposable {
  startOrders(t: TestContext): Promise<Child>
  /** The program of `web`, with the identity of a service account. */
  startWeb(t: TestContext, serviceAccount: string, orders: Child): Promise<Child>
  restartAgent(serviceAccount: string): Promise<void>
}

async function openMesh(): Promise<Mesh> {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(await makeScratch("two"))
  const port = await freePort()
  const issuer = `https://127.0.0.1:${port}`
  const setup = await makeServerSetup(scratch.directory, configOf(port, issuer))
  const { bundleFile } = await initTrustDomain(setup)
  const server = stack.use(await startServerProcess(setup))
  const agents = new Map<string, AgentProcess>()
  stack.defer(async () => {
    for (const agent of agents.values()) await agent[Symbol.asyncDispose]()
  })
  const startAgent = async (name: string): Promise<AgentProcess> => {
    const agent = await startAgentProcess(agentTerms(name, { scratch, setup, bundleFile, server: server.address }))
    agents.set(name, agent)
    return agent
  }
  for (const name of ["orders", "web", "cart"]) await startAgent(name)
  let programs = 0
  const start = (t: TestContext, program: string, serviceAccount: string, env: Readonly<Record<string, string>>) => {
    const socket = agents.get(serviceAccount)?.socket ?? ""
    const child = new Child({
      name: `${program} as ${serviceAccount}`,
      command: process.execPath,
      args: ["--conditions=assay-source", join(PROJECT, `deploy/examples/two-services/${program}.ts`)],
      env: { SPIFFE_ENDPOINT_SOCKET: `unix://${socket}`, ISSUER: issuer, ...env },
      log: scratch.path(`${program}-${programs++}.log`),
    })
    t.after(() => child[Symbol.asyncDispose]())
    showLogsOnFailure(t, child)
    return child
  }
  const moved = stack.move()
  return {
    startOrders: async (t) => {
      const child = start(t, "orders", "orders", { PORT: "0" })
      await child.until("listening", async () => portOf(child), 90_000)
      return child
    },
    startWeb: async (t, serviceAccount, orders) =>
      start(t, "web", serviceAccount, { ORDERS: `https://127.0.0.1:${portOf(orders)}` }),
    restartAgent: async (name) => {
      await agents.get(name)?.[Symbol.asyncDispose]()
      await startAgent(name)
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

function configOf(port: number, issuer: string): object & Readonly<Record<string, unknown>> {
  return {
    listen: { grpc: "127.0.0.1:0", https: `127.0.0.1:${port}`, health: "127.0.0.1:0" },
    x509: { ttl: "20s" },
    oauth: { issuer },
    token_rules: {
      exports: [{ name: "own", subject: "*", audience: "*" }],
      accepts: [
        {
          name: "orders",
          audience: "https://orders.prod.example",
          subject: ["/ns/shop/sa/web", "/ns/shop/sa/cart"],
          scopes: ["orders.read"],
          ttl: "20s",
        },
      ],
    },
  }
}

interface AgentPlace {
  readonly scratch: Scratch
  readonly setup: ServerSetup
  readonly bundleFile: string
  readonly server: string
}

function agentTerms(name: string, { scratch, setup, bundleFile, server }: AgentPlace) {
  const token = setup.token({ serviceAccount: name })
  return { name, folder: scratch.path(name), trustDomain: setup.trustDomain, server, bundleFile, token }
}

function portOf(orders: Child): number | undefined {
  const [, port] = /orders listens: .*"port":(\d+)/.exec(orders.logTail(LOG)) ?? []
  return port === undefined ? undefined : Number(port)
}

function answersOf(web: Child): readonly Answer[] {
  const lines = [...web.logTail(LOG).matchAll(/^(\d{3}) (\{.*\})$/gm)]
  return lines.map(([, status, body = "{}"]) => ({ ...JSON.parse(body), status: Number(status) }))
}

function serialsOf(web: Child): ReadonlySet<string> {
  return new Set(answersOf(web).map(({ serial }) => serial))
}

/** Of requests, and of the program itself. */
function failuresOf(web: Child): number {
  const log = web.logTail(LOG)
  return (
    [...log.matchAll(/^failed: .*$/gm)].length + [...log.matchAll(/^(?!200)\d{3} /gm)].length + (web.running ? 0 : 1)
  )
}

const ID = "spiffe://prod.example/ns/shop/sa"
const LOG = 4 * 1024 * 1024
