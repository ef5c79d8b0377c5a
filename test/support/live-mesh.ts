import { randomBytes } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { parseSealingKey } from "../../src/adapters/disk-keys/sealing-key.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { openTrustState } from "../../src/app/authority/trust-state.ts"
import type { Seconds } from "../../src/core/time.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { runAgent } from "../../src/main/agent.ts"
import { parseAgentConfig } from "../../src/main/config/agent-config.ts"
import { parseServerConfig, type ServerConfig } from "../../src/main/config/server-config.ts"
import { LocalCluster } from "../../src/main/demo/local-cluster.ts"
import { initServerState, openKeys, openServerState, openWitness } from "../../src/main/server/state.ts"
import { runServer } from "../../src/main/server.ts"
import type { AuthorityRecord } from "../../src/ports/authority-journal.ts"
import type { KeyStore } from "../../src/ports/keys.ts"
import { quietLog } from "./quiet-log.ts"

export interface LiveMeshOptions {
  /** Lives of SVIDs, at least 5, and of issuing authorities, which may be shorter than the configuration lets them. */
  readonly svidTtl: Seconds
  readonly issuingTtl: Seconds
  /** By how much clocks count as different in rotations of the root; default that of the configuration. */
  readonly rotationSkew?: Seconds
  /** `jwt` of the configuration; default: its own. */
  readonly jwt?: Readonly<Record<string, string>>
}

/** A real server in this process with a stand-in cluster, and agents on demand. Disposing stops all of it. */
export interface LiveMesh extends AsyncDisposable {
  readonly port: number
  readonly adminSocket: string
  /** PEM of the root. */
  readonly rootsFile: string
  /** A file with a token of a new pod of this service account, in namespace `shop`. */
  writeToken(serviceAccount: string): Promise<string>
  /** What a thief has who reads the key folder and knows the sealing key. */
  readKeyFolder(): Promise<KeyFolder>
  /** @param port where it finds the server; default: the server's own @returns the path of the agent's socket, once it listens */
  startAgent(serviceAccount: string, port?: number): Promise<string>
}

export interface KeyFolder {
  /** As it lies beside the keys. */
  readonly record: AuthorityRecord
  readonly keys: Pick<KeyStore, "open">
}

export async function openLiveMesh(folder: string, options: LiveMeshOptions): Promise<LiveMesh> {
  const cluster = new LocalCluster("https://local.example", () => systemClock.now())
  await writeFile(join(folder, "jwks.json"), cluster.jwks())
  const parsed = parseServerConfig(serverText(folder, options), "assay.yaml", makeCelConditions().compile)
  const config: ServerConfig = { ...parsed, issuing: { ttl: options.issuingTtl } }
  const sealingKey = parseSealingKey(randomBytes(32).toString("base64"))
  await initServerState(config, async () => sealingKey, systemClock, makeSystemRandom())
  const rootsFile = join(folder, "roots.pem")
  await writeFile(rootsFile, await rootsOf(config, sealingKey))

  const stop = new AbortController()
  const running: Promise<void>[] = []
  const port = await new Promise<number>((resolve, reject) => {
    const server = { config, sealingKey, log: quietLog, watch: untilAborted }
    running.push(runServer({ ...server, listening: ({ grpc }) => resolve(grpc) }, stop.signal))
    running.at(-1)?.catch(reject)
  })
  const writeToken = async (serviceAccount: string): Promise<string> => {
    const pod = cluster.createPod("shop", serviceAccount, `${serviceAccount}-0`)
    const file = join(folder, `${serviceAccount}.token`)
    await writeFile(file, cluster.issueToken(pod, { audience: ["assay"], lifetime: 3600 }))
    return file
  }
  return {
    port,
    adminSocket: join(folder, "admin.sock"),
    rootsFile,
    writeToken,
    readKeyFolder: async () => {
      const record = await openWitness(config, sealingKey).read()
      if (record === undefined) throw new Error("nothing lies beside the keys")
      return { record, keys: await openKeys(config, sealingKey) }
    },
    async startAgent(serviceAccount, through = port) {
      const socket = join(folder, `${serviceAccount}.sock`)
      const text = agentText({ port: through, rootsFile, token: await writeToken(serviceAccount), socket })
      await new Promise<void>((resolve, reject) => {
        const agent = runAgent(parseAgentConfig(text, "agent.yaml"), quietLog, stop.signal, resolve)
        running.push(agent)
        agent.catch(reject)
      })
      return socket
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all(running)
    },
  }
}

async function rootsOf(config: ServerConfig, sealingKey: Parameters<typeof openServerState>[1]): Promise<string> {
  const { store } = await openServerState(config, sealingKey, quietLog)
  await using _open = store
  const { own } = (await openTrustState(store.authorityJournal)).snapshot()
  return own.x509Authorities.map((der) => encodePem("CERTIFICATE", der)).join("")
}

function untilAborted(_adopt: unknown, _metrics: unknown, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true })
  })
}

function serverText(folder: string, { svidTtl, rotationSkew, jwt = {} }: LiveMeshOptions): string {
  return JSON.stringify({
    trust_domain: "example.org",
    listen: { grpc: "127.0.0.1:0", health: "127.0.0.1:0" },
    storage: { sqlite: join(folder, "assay.db") },
    keys: { directory: join(folder, "keys") },
    x509: { ttl: `${svidTtl}s` },
    jwt,
    rotation: rotationSkew === undefined ? {} : { skew: `${rotationSkew}s`, wave_share: "50%", wave_interval: "1s" },
    clusters: [
      {
        name: "local",
        issuer: "https://local.example",
        audiences: ["assay"],
        keys: { jwks_file: join(folder, "jwks.json") },
        token_review: { mode: "off" },
      },
    ],
    drain: { timeout: "1s" },
  })
}

function agentText(files: { port: number; rootsFile: string; token: string; socket: string }): string {
  return JSON.stringify({
    trust_domain: "example.org",
    server: { address: `127.0.0.1:${files.port}` },
    bootstrap: { bundle_file: files.rootsFile },
    token_file: files.token,
    socket: { path: files.socket },
    drain: { timeout: "1s" },
  })
}
