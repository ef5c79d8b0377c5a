import { copyFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { openWorkloadClient } from "../../../src/adapters/workload-client/workload-client.ts"
import { parseWorkloadEndpoint } from "../../../src/core/spiffe/endpoint.ts"
import type { Millis, Seconds } from "../../../src/core/time.ts"
import { encodePem } from "../../../src/core/x509/pem.ts"
import type { X509Material } from "../../../src/ports/workload-api.ts"
import type { SdsPeer } from "../envoy-config.ts"
import { type LiveMesh, openLiveMesh } from "../live-mesh.ts"
import { freePort } from "../peers/free-port.ts"
import { makeScratch } from "../scratch.ts"
import { listenTcpProxy, type TcpProxy } from "../tcp-proxy.ts"
import { until } from "../until.ts"
import { WatchedWorkload } from "../watched-workload.ts"
import { type Destination, EnvoyMember } from "./envoy-member.ts"
import { GoMember } from "./go-member.ts"
import { RotationOperator } from "./rotation-operator.ts"
import { type FailedCall, MeshTraffic } from "./traffic.ts"

/**
 * A server, four Envoys and two go-spiffe clients, of whom each calls each other one by mutual TLS all the time. `web` and `cart` are
 * fed by agents, `pay` and `stock` by the server; the clients `ledger` and `mail` have agents.
 */
export interface RotationMesh extends AsyncDisposable {
  readonly operator: RotationOperator
  readonly web: EnvoyMember
  readonly cart: EnvoyMember
  readonly pay: EnvoyMember
  readonly stock: EnvoyMember
  readonly envoys: readonly EnvoyMember[]
  /** Between the agent of `cart` and the server. */
  readonly uplink: TcpProxy
  /** Between the server and `pay`, and between it and `stock`. Both Envoys know the very first root, and are never started anew. */
  readonly feed: TcpProxy
  readonly line: TcpProxy
  readonly traffic: MeshTraffic
  /** Of everybody, in no order. */
  failures(): readonly FailedCall[]
  succeeded(): Promise<number>
  /** What the agent of `ledger` serves right now. */
  materialOfLedger(): Promise<X509Material>
  /** Hand out the roots of now, as whoever hands out the first roots must after a rotation. */
  handOutRoots(): Promise<void>
}

export async function openRotationMesh(svidTtl: Seconds): Promise<RotationMesh> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeScratch("rotate"))
  const mesh = stack.use(await openLiveMesh(folder.directory, { svidTtl, issuingTtl: 3600, rotationSkew: 1 }))
  const uplink = stack.use(await listenTcpProxy(mesh.port))
  const feed = stack.use(await listenTcpProxy(mesh.port))
  const line = stack.use(await listenTcpProxy(mesh.port))
  const firstRoot = folder.path("first-root.pem")
  await copyFile(mesh.rootsFile, firstRoot)
  const feeds: readonly SdsPeer[] = [
    { kind: "unix", path: await mesh.startAgent("web") },
    { kind: "unix", path: await mesh.startAgent("cart", uplink.port) },
    await remote(mesh, "pay", feed.port, firstRoot),
    await remote(mesh, "stock", line.port, firstRoot),
  ]
  const ledger = await mesh.startAgent("ledger")
  const clients = [
    stack.use(await GoMember.start("ledger", ledger)),
    stack.use(await GoMember.start("mail", await mesh.startAgent("mail"))),
  ]
  const witness = stack.use(new WatchedWorkload(ledger))
  await until("the first bundle", () => witness.served)
  const envoys = await startEnvoys(feeds, clients, folder.directory, stack)
  const traffic = stack.use(new MeshTraffic(PACE))
  await openTraffic(traffic, envoys, clients)
  const moved = stack.move()
  return {
    ...named(envoys),
    operator: new RotationOperator(mesh.adminSocket),
    envoys,
    uplink,
    feed,
    line,
    traffic,
    failures: () => [...traffic.failures, ...clients.flatMap(({ failures }) => failures)],
    succeeded: async () => {
      const counts = await Promise.all(clients.map((client) => client.succeeded()))
      return counts.reduce((sum, count) => sum + count, traffic.succeeded)
    },
    materialOfLedger: () => materialOf(ledger),
    handOutRoots: async () => {
      const roots = witness.seen.at(-1)?.bundle ?? []
      const pem = roots.map((der) => encodePem("CERTIFICATE", Buffer.from(der, "hex")))
      await writeFile(mesh.rootsFile, pem.join(""))
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

export function idOf(name: string): string {
  return `spiffe://example.org/ns/shop/sa/${name}`
}

async function startEnvoys(
  feeds: readonly SdsPeer[],
  clients: readonly GoMember[],
  folder: string,
  stack: AsyncDisposableStack,
): Promise<readonly EnvoyMember[]> {
  const inbound = await Promise.all(ENVOYS.map(async (name) => ({ name, port: await freePort() })))
  const everybody = [...inbound, ...clients].map(({ name, port }): Destination => {
    return { name, spiffeId: idOf(name), port }
  })
  const starting = inbound.map(async ({ name, port }, index) => {
    const sds = feeds[index]
    if (sds === undefined) throw new TypeError(`nothing feeds ${name}`)
    const destinations = everybody.filter((to) => to.name !== name)
    const callers = destinations.map(({ spiffeId }) => spiffeId)
    const listenerFile = join(folder, `${name}.listeners`)
    const api = index % 2 === 0 ? "GRPC" : "DELTA_GRPC"
    return stack.use(await EnvoyMember.start({ name, sds, api, port, callers, destinations, listenerFile }))
  })
  return await Promise.all(starting)
}

async function openTraffic(
  traffic: MeshTraffic,
  envoys: readonly EnvoyMember[],
  clients: readonly GoMember[],
): Promise<void> {
  const everybody = [...envoys, ...clients]
  for (const from of envoys) {
    for (const to of everybody) if (to !== from) traffic.open(from.name, to.name, await from.portTo(to.name))
  }
  for (const from of clients) {
    for (const to of everybody) if (to !== from) from.call(to.port, idOf(to.name))
  }
}

function named(envoys: readonly EnvoyMember[]): Pick<RotationMesh, "web" | "cart" | "pay" | "stock"> {
  const [web, cart, pay, stock] = envoys
  if (web === undefined || cart === undefined || pay === undefined || stock === undefined) {
    throw new TypeError("an Envoy is missing")
  }
  return { web, cart, pay, stock }
}

async function remote(mesh: LiveMesh, serviceAccount: string, port: number, rootsFile: string): Promise<SdsPeer> {
  const tokenFile = await mesh.writeToken(serviceAccount)
  return { kind: "remote", target: `dns:///localhost:${port}`, rootsFile, tokenFile }
}

async function materialOf(socket: string): Promise<X509Material> {
  using api = openWorkloadClient(parseWorkloadEndpoint(`unix://${socket}`))
  for await (const material of api.watchX509(AbortSignal.timeout(10_000))) return material
  throw new Error(`${socket} serves nothing`)
}

const ENVOYS = ["web", "cart", "pay", "stock"] as const
/** Thirty lanes at this pace are a load that two cores bear beside it all. */
const PACE: Millis = 200
