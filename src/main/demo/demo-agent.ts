import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { Millis } from "../../core/time.ts"
import { DemoProcess } from "./child-process.ts"
import type { DemoServer } from "./demo-server.ts"
import type { LocalCluster, LocalPod } from "./local-cluster.ts"
import { projectToken } from "./token-projection.ts"
import { openWorkload, type Workload } from "./workload.ts"
import { agentYaml, NAMESPACE } from "./world-files.ts"

/** A real `assay agent` in a process of its own, beside its pod's workload, as a sidecar would be. */
export interface DemoAgent extends AsyncDisposable {
  readonly pid: number
  readonly pod: LocalPod
  readonly workload: Workload
  readonly tokenFile: string
  readonly socket: string
  /** From the start of the agent's process, and from its listening, until the workload held its first SVID. */
  readonly firstSvid: { readonly fromStart: Millis; readonly fromListening: Millis }
}

export interface AgentOrder {
  /** Where the folder of this agent is made. */
  readonly folder: string
  readonly cluster: LocalCluster
  readonly server: DemoServer
  readonly serviceAccount: string
}

/** Make a pod with a token of its own, start its agent with that, and let its workload ask for its SVID. */
export async function startAgent(order: AgentOrder, signal: AbortSignal): Promise<DemoAgent> {
  const { cluster, server, serviceAccount: name } = order
  await using stack = new AsyncDisposableStack()
  const folder = join(order.folder, name)
  await mkdir(folder)
  const [configFile, tokenFile, socket] = [
    join(folder, "agent.yaml"),
    join(folder, "token"),
    join(folder, "agent.sock"),
  ]
  const pod = cluster.createPod(NAMESPACE, name, `${name}-0`)
  stack.defer(() => cluster.deletePod(pod.uid))
  stack.use(await projectToken(cluster, pod, tokenFile))
  const config = { name, server: server.grpc, bundle: server.bundleFile, token: tokenFile, socket }
  await writeFile(configFile, agentYaml(config))

  const begun = performance.now()
  const args = [CLI, "agent", "--config", configFile]
  const log = join(folder, "agent.log")
  const child = stack.use(new DemoProcess({ name: `assay agent ${name}`, command: process.execPath, args, log }))
  await child.untilLogged("agent listens", signal)
  const listening = performance.now()
  const workload = stack.use(openWorkload(socket))
  const { at } = await workload.reached(1, AbortSignal.any([signal, AbortSignal.timeout(FIRST_SVID_WITHIN)]))
  const started = stack.move()
  return {
    pid: child.pid,
    pod,
    workload,
    tokenFile,
    socket,
    firstSvid: { fromStart: at - begun, fromListening: at - listening },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

const CLI = join(import.meta.dirname, "../cli.ts")
const FIRST_SVID_WITHIN: Millis = 20_000
