import { randomBytes } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { parseServerConfig, type ServerConfig } from "../../src/main/config/server-config.ts"
import { LocalCluster, type LocalPod } from "../../src/main/demo/local-cluster.ts"

/** Keys of a server's file, laid over those of {@link ServerSetup}; top-level keys replace each other whole. */
export type ConfigOverrides = Readonly<Record<string, unknown>>

/** What a server under test starts from: a folder with its files, and a stand-in cluster whose tokens it accepts. */
export interface ServerSetup {
  readonly folder: string
  readonly trustDomain: string
  readonly cluster: LocalCluster
  readonly configFile: string
  /** A token of a new pod; default service account `web` in namespace `shop`, for an hour. */
  token(order?: TokenOrder): string
  /** Write the file anew. */
  write(overrides: ConfigOverrides): Promise<void>
  parse(overrides: ConfigOverrides): ServerConfig
}

export interface TokenOrder {
  readonly serviceAccount?: string
  readonly lifetime?: number
  /** In place of a new one. */
  readonly pod?: LocalPod
}

export async function makeServerSetup(folder: string, overrides: ConfigOverrides = {}): Promise<ServerSetup> {
  const cluster = new LocalCluster("https://local.example", () => systemClock.now())
  const jwks = join(folder, "jwks.json")
  const sealing = join(folder, "sealing.key")
  await writeFile(jwks, cluster.jwks())
  await writeFile(sealing, randomBytes(32).toString("base64"), { mode: 0o600 })
  const wanted = overrides["trust_domain"]
  const trustDomain = typeof wanted === "string" ? wanted : TRUST_DOMAIN
  const textOf = (change: ConfigOverrides) =>
    JSON.stringify({ ...defaults(folder, trustDomain, jwks, sealing), ...change })
  const configFile = join(folder, "assay.yaml")
  let pods = 0
  const setup: ServerSetup = {
    folder,
    trustDomain,
    cluster,
    configFile,
    token: ({ serviceAccount = "web", lifetime = 3600, pod } = {}) => {
      const holder = pod ?? cluster.createPod("shop", serviceAccount, `${serviceAccount}-${pods++}`)
      return cluster.issueToken(holder, { audience: ["assay"], lifetime })
    },
    write: (change) => writeFile(configFile, textOf(change)),
    parse: (change) => parseServerConfig(textOf(change), configFile, makeCelConditions().compile),
  }
  await setup.write(overrides)
  return setup
}

function defaults(folder: string, trustDomain: string, jwks: string, sealing: string): object {
  return {
    trust_domain: trustDomain,
    listen: { grpc: "127.0.0.1:0", health: "127.0.0.1:0" },
    serving: { dns_names: ["localhost"], ip_addresses: ["127.0.0.1"] },
    storage: { sqlite: join(folder, "assay.db") },
    keys: { directory: join(folder, "keys"), sealing_key_file: sealing },
    clusters: [
      {
        name: "main",
        issuer: "https://local.example",
        audiences: ["assay"],
        keys: { jwks_file: jwks },
        token_review: { mode: "off" },
      },
    ],
    drain: { timeout: "5s" },
  }
}

const TRUST_DOMAIN = "prod.example"
