import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { systemClock } from "../../adapters/system/clock.ts"
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe/id.ts"
import { type DemoAgent, startAgent } from "./demo-agent.ts"
import { type DemoServer, startServer } from "./demo-server.ts"
import { type EnvoyProcess, startEnvoy } from "./envoy-process.ts"
import { LocalCluster } from "./local-cluster.ts"
import { listenMtls, type MtlsServer } from "./mtls-server.ts"
import { CLUSTER_ISSUER, NAMESPACE, TRUST_DOMAIN } from "./world-files.ts"

/**
 * What the steps act on. Each part is started by the step that first asks for it, once; when it cannot start, each step that
 * needs it fails for the same reason, and the others still run. Disposing stops everything and removes the folder.
 */
export interface World extends AsyncDisposable {
  /** All files: configurations, store, tokens, sockets, logs. */
  readonly folder: string
  server(): Promise<DemoServer>
  /** The agent of a pod that lives as long as the world, and its workload. */
  agent(serviceAccount: "web" | "api"): Promise<DemoAgent>
  /** An agent that its caller stops. */
  startAgent(serviceAccount: string): Promise<DemoAgent>
  /** The service of workload `api`, open to `web` alone. */
  service(): Promise<MtlsServer>
  /** Two Envoys at the agents' sockets: api's, open to web alone, and web's, which calls it. */
  envoys(): Promise<EnvoyPair>
}

export interface EnvoyPair extends AsyncDisposable {
  /** Of api. */
  readonly inbound: EnvoyProcess
  /** Of web. */
  readonly outbound: EnvoyProcess
}

/** @param envoy its binary, when there is one @param stop ends whatever is being started */
export async function openWorld(envoy: string | undefined, stop: AbortSignal): Promise<World> {
  await using opening = new AsyncDisposableStack()
  // Short, as unix sockets lie in it.
  const folder = await mkdtemp(join(tmpdir(), "assay-demo-"))
  opening.defer(() => rm(folder, { recursive: true, force: true }))
  const stack = opening.move()
  const cluster = new LocalCluster(CLUSTER_ISSUER, () => systemClock.now())
  const begun: Promise<unknown>[] = []
  const once = <T extends AsyncDisposable>(start: () => Promise<T>): (() => Promise<T>) => {
    let started: Promise<T> | undefined
    return () => {
      if (started === undefined) {
        started = start().then((resource) => stack.use(resource))
        begun.push(started)
      }
      return started
    }
  }
  const server = once(() => startServer(folder, cluster, stop))
  const start = async (serviceAccount: string): Promise<DemoAgent> =>
    startAgent({ folder, cluster, server: await server(), serviceAccount }, stop)
  const agents = { web: once(() => start("web")), api: once(() => start("api")) }
  return {
    folder,
    server,
    agent: (serviceAccount) => agents[serviceAccount](),
    startAgent: start,
    service: once(async () => listenMtls((await agents.api()).workload, idOf("web"))),
    envoys: once(async () => startEnvoys({ envoy, folder, web: await agents.web(), api: await agents.api() }, stop)),
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(begun)
      await stack.disposeAsync()
    },
  }
}

interface EnvoysOrder {
  readonly envoy: string | undefined
  readonly folder: string
  readonly web: DemoAgent
  readonly api: DemoAgent
}

async function startEnvoys({ envoy, folder, web, api }: EnvoysOrder, signal: AbortSignal): Promise<EnvoyPair> {
  if (envoy === undefined) throw new Error("there is no Envoy on this machine")
  await using stack = new AsyncDisposableStack()
  const common = { binary: envoy, folder }
  const inbound = stack.use(
    await startEnvoy(
      { ...common, name: "envoy-api", socket: api.socket, duty: { kind: "inbound", peer: idOf("web") } },
      signal,
    ),
  )
  const duty = { kind: "outbound", peer: idOf("api"), port: inbound.port } as const
  const outbound = stack.use(await startEnvoy({ ...common, name: "envoy-web", socket: web.socket, duty }, signal))
  const started = stack.move()
  return { inbound, outbound, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

/** What the default rule gives to a service account. */
export function idOf(serviceAccount: string): SpiffeId {
  return parseSpiffeId(`spiffe://${TRUST_DOMAIN}/ns/${NAMESPACE}/sa/${serviceAccount}`)
}
