import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { parseBundle } from "../../core/spiffe/bundle-document.ts"
import { parseTrustDomain } from "../../core/spiffe/id.ts"
import type { Millis } from "../../core/time.ts"
import { encodePem } from "../../core/x509/pem.ts"
import { DemoProcess } from "./child-process.ts"
import type { LocalCluster } from "./local-cluster.ts"
import { listenLocalCluster } from "./local-cluster-server.ts"
import { serverYaml, TRUST_DOMAIN } from "./world-files.ts"

/** A real `assay server` in a process of its own, with a new trust domain and the stand-in cluster. */
export interface DemoServer extends AsyncDisposable {
  readonly pid: number
  readonly configFile: string
  /** SPIFFE bundle document, for agents. */
  readonly bundleFile: string
  /** `127.0.0.1:<port>` of the gRPC listener. */
  readonly grpc: string
  /** `127.0.0.1:<port>` of the HTTPS listener. */
  readonly https: string
  /** PEM file of the trust domain's roots, for curl. */
  readonly rootsFile: string
  /** For operators on this machine. */
  readonly adminSocket: string
  /** `127.0.0.1:<port>` of health and metrics. */
  readonly health: string
  /** What `assay init` took, and the server until it listened. */
  readonly initMillis: Millis
  /** Write {@link bundleFile} and {@link rootsFile} anew, as whoever hands them out must after a rotation of the root. */
  refreshBundle(signal: AbortSignal): Promise<void>
  readonly startMillis: Millis
}

/** Do what a user would: write a configuration, `assay init`, `assay server`. */
export async function startServer(folder: string, cluster: LocalCluster, signal: AbortSignal): Promise<DemoServer> {
  await using stack = new AsyncDisposableStack()
  const { url } = stack.use(await listenLocalCluster(cluster, 0))
  const inFolder = (name: string): string => join(folder, name)
  const [configFile, bundleFile] = [inFolder("assay.yaml"), inFolder("bundle.json")]
  const rootsFile = inFolder("roots.pem")
  const files = { store: inFolder("assay.db"), keys: inFolder("keys"), sealingKey: inFolder("sealing.key") }
  await writeFile(configFile, serverYaml({ ...files, clusterUrl: url }))

  const begun = performance.now()
  const init = [CLI, "init", "--config", configFile, "--make-sealing-key"]
  const run = async (args: readonly string[], until: AbortSignal): Promise<void> => {
    const { stdout: bundle } = await promisify(execFile)(process.execPath, args, { signal: until })
    await writeFile(bundleFile, bundle)
    await writeFile(rootsFile, rootsOf(bundle))
  }
  await run(init, signal)
  const made = performance.now()

  const args = [CLI, "server", "--config", configFile]
  const log = inFolder("server.log")
  const child = stack.use(new DemoProcess({ name: "assay server", command: process.execPath, args, log }))
  const ports = await child.untilLogged("server listens", signal)
  const startMillis = performance.now() - made
  const started = stack.move()
  return {
    pid: child.pid,
    configFile,
    bundleFile,
    grpc: `127.0.0.1:${String(ports["grpc"])}`,
    https: `127.0.0.1:${String(ports["https"])}`,
    rootsFile,
    adminSocket: inFolder("admin.sock"),
    health: `127.0.0.1:${String(ports["health"])}`,
    initMillis: made - begun,
    startMillis,
    refreshBundle: (until) => run([CLI, "bundle", "show", "--config", configFile, "-o", "spiffe"], until),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

function rootsOf(bundle: string): string {
  const { x509Authorities } = parseBundle(bundle, parseTrustDomain(TRUST_DOMAIN))
  return x509Authorities.map((der) => encodePem("CERTIFICATE", der)).join("")
}

const CLI = join(import.meta.dirname, "../cli.ts")
