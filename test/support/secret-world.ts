import { createPrivateKey } from "node:crypto"
import { readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { TestContext } from "node:test"
import { deriveSharedKey } from "../../src/adapters/disk-keys/derived-key.ts"
import { unsealKey } from "../../src/adapters/disk-keys/sealed-file.ts"
import type { Secret } from "../../src/core/secret.ts"
import { readSealingKey } from "../../src/main/server/read-sealing-key.ts"
import { type AgentProcess, startAgentProcess } from "./agent-process.ts"
import { type JwtKey, makeJwtKey } from "./jwt-key.ts"
import { showLogsOnFailure } from "./peers/child.ts"
import { freePort } from "./peers/free-port.ts"
import { runAssay } from "./run-assay.ts"
import { makeScratch } from "./scratch.ts"
import { type Output, SecretHunt } from "./secret-hunt.ts"
import { initTrustDomain, type ServerProcess, startServerProcess } from "./server-process.ts"
import { makeServerSetup, type ServerSetup } from "./server-setup.ts"

export const ISSUER = "https://assay.example"
export const API = "https://api.example"
export const ADMIN_AUDIENCE = "https://assay.example/admin"
export const STAFF = "https://login.example"
/** The service account of everybody here. It is no secret, so it must be found wherever identities are named. */
export const MARKER = "marker-5f1c9be2d04a"

/** A server and an agent as processes of their own, with their logs at the most verbose, and what they gave away. */
export interface SecretWorld extends AsyncDisposable {
  readonly setup: ServerSetup
  readonly server: ServerProcess
  readonly agent: AgentProcess
  readonly roots: string
  readonly adminSocket: string
  /** Of the remote door of the admin API. */
  readonly adminPort: number
  /** Signs the assertions of the registered client `billing`, and the tokens of operators. */
  readonly client: JwtKey
  readonly hunt: SecretHunt
  /** Write down what was answered. */
  readonly note: (place: string, answer: unknown) => void
  /** All that server and agent gave away until now, but for what they gave to whom it belongs. */
  outputs(): Promise<readonly Output[]>
  /** Of these, the files. */
  files(): Promise<readonly Output[]>
}

export async function openSecretWorld(t: TestContext): Promise<SecretWorld> {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(await makeScratch("hunt"))
  const client = makeJwtKey()
  const { kid, jwk } = client.authority
  const keys = { keys: [{ ...jwk, kid, use: "sig", alg: "ES256" }] }
  await writeFile(scratch.path("clients.jwks"), JSON.stringify(keys))
  const setup = await makeServerSetup(scratch.directory, configOf(scratch.path))
  const { roots, bundleFile } = await initTrustDomain(setup)
  const server = stack.use(await startServerProcess(setup))
  const metricsPort = await freePort()
  const terms = { name: "agent", folder: scratch.path("agent"), trustDomain: setup.trustDomain, bundleFile }
  const token = setup.token({ serviceAccount: MARKER })
  const config = { log: { level: "debug" }, health: { listen: `127.0.0.1:${metricsPort}` } }
  const agent = stack.use(await startAgentProcess({ ...terms, server: server.address, token, config }))
  showLogsOnFailure(t, server, agent)
  const hunt = new SecretHunt()
  hunt.addToken("token of the agent", token)
  await addKeys(hunt, setup)
  const notes: Output[] = []
  const adminSocket = scratch.path("admin.sock")
  const moved = stack.move()
  return {
    setup,
    server,
    agent,
    roots,
    adminSocket,
    adminPort: Number(/"adminHttps":(\d+)/.exec(server.log())?.[1]),
    client,
    hunt,
    note: (place, answer) => void notes.push({ place, bytes: Buffer.from(textOf(answer)) }),
    outputs: async () => [
      ...notes,
      ...(await readFiles(scratch.directory)),
      ...rowsOf(scratch.path("assay.db")),
      ...(await httpOutputs(server.healthUrl, "server")),
      ...(await httpOutputs(`http://127.0.0.1:${metricsPort}`, "agent")),
      ...(await commandOutputs(setup.configFile)),
      ...(await processOutputs(server.pid)),
    ],
    files: () => readFiles(scratch.directory),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

function configOf(pathOf: (name: string) => string): Readonly<Record<string, unknown>> {
  return {
    listen: { grpc: "127.0.0.1:0", https: "127.0.0.1:0", health: "127.0.0.1:0", admin: "127.0.0.1:0" },
    serving: { dns_names: ["localhost", "assay.example"], ip_addresses: ["127.0.0.1"] },
    log: { level: "debug" },
    audit: { sinks: [{ file: pathOf("audit.jsonl") }] },
    admin: {
      audience: ADMIN_AUDIENCE,
      issuers: [
        {
          name: "staff",
          issuer: STAFF,
          audiences: [ADMIN_AUDIENCE],
          keys: { jwks_file: pathOf("clients.jwks") },
          required_claims: {},
          spiffe_id: "/ops/{{sub}}",
        },
      ],
      roles: [{ name: "staff", who: { spiffe_id: "/ops/*" }, verbs: ["status", "audit", "issuances"] }],
    },
    oauth: {
      issuer: ISSUER,
      clients: [
        {
          client_id: "billing",
          spiffe_id: "spiffe://prod.example/vm/billing",
          keys: { jwks_file: pathOf("clients.jwks") },
        },
      ],
      resources: [{ audience: API, holders: [`spiffe://prod.example/ns/shop/sa/${MARKER}`] }],
      publish: [{ directory: pathOf("published") }],
    },
    token_rules: {
      exports: [{ name: "all", subject: "*", audience: "*" }],
      accepts: [{ name: "all", audience: API, subject: "*", binding: ["none", "dpop"], scopes: ["read"] }],
    },
  }
}

/** The sealing key, all that is derived from it, and all that it seals. */
async function addKeys(hunt: SecretHunt, setup: ServerSetup): Promise<void> {
  const config = setup.parse(configOf((name) => join(setup.folder, name)))
  const sealingKey = await readSealingKey(config, {})
  sealingKey.expose((bytes) => hunt.add("sealing key", bytes))
  for (const use of ["dpop nonce v1", "audit seal v1"] as const) {
    deriveSharedKey(sealingKey, use).expose((bytes) => hunt.add(use, bytes))
  }
  for (const name of (await readdir(config.keys.directory)).filter((one) => one.endsWith(".sealed"))) {
    const file = await readFile(join(config.keys.directory, name))
    addPrivateKey(hunt, name, unsealKey(name.replace(/\.sealed$/, ""), file, sealingKey).pkcs8)
  }
}

/** The number that makes a key private, as bytes: it is in every encoding of the key. */
export function addPrivateKey(hunt: SecretHunt, name: string, pkcs8: Secret | string): void {
  const key =
    typeof pkcs8 === "string"
      ? createPrivateKey(pkcs8)
      : pkcs8.expose((bytes) => createPrivateKey({ key: Buffer.from(bytes), format: "der", type: "pkcs8" }))
  hunt.add(`private key: ${name}`, Buffer.from(key.export({ format: "jwk" }).d ?? "", "base64url"))
}

/** Files that are there to hold a secret: they are what the processes were given. */
const GIVEN = new Set(["sealing.key", "token"])

async function readFiles(folder: string): Promise<readonly Output[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  const plain = entries.filter((entry) => entry.isFile() && !GIVEN.has(entry.name))
  return Promise.all(
    plain.map(async ({ parentPath, name }) => {
      // One that is gone meanwhile, such as what was renamed, gives nothing away.
      const bytes = await readFile(join(parentPath, name)).catch(() => Buffer.alloc(0))
      return { place: `file ${name}`, bytes }
    }),
  )
}

/** Every value of the store: in its file, a value may be in several pieces. */
function rowsOf(path: string): readonly Output[] {
  using db = new DatabaseSync(path, { readOnly: true, timeout: 10_000 })
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  return tables.map(({ name }) => {
    const rows = db.prepare(`SELECT * FROM "${String(name)}"`).all()
    const values = rows.flatMap((row) => Object.values(row).map((value) => bytesOf(value)))
    return { place: `table ${String(name)}`, bytes: Buffer.concat(values) }
  })
}

function bytesOf(value: unknown): Buffer {
  return value instanceof Uint8Array ? Buffer.from(value) : Buffer.from(`${String(value)}\n`)
}

async function httpOutputs(url: string, name: string): Promise<readonly Output[]> {
  const paths = ["/metrics", "/live", "/ready", "/", "/debug", "/debug/pprof/", "/debug/vars", "/status", "/config"]
  return Promise.all(
    paths.map(async (path) => {
      const response = await fetch(`${url}${path}`)
      const headers = JSON.stringify([...response.headers])
      return { place: `${name} ${path}`, bytes: Buffer.from(`${response.status}${headers}${await response.text()}`) }
    }),
  )
}

async function commandOutputs(config: string): Promise<readonly Output[]> {
  const commands = [
    ["audit", "export", "-c", config],
    ["audit", "search", "-c", config, "-o", "json", "--limit", "1000"],
    ["audit", "verify", "-c", config],
    ["log", "search", "-c", config, "-o", "json", "--limit", "1000"],
    ["status", "-c", config, "-o", "json"],
    ["consumers", "-c", config, "-o", "json"],
    ["rotation", "status", "-c", config, "-o", "json"],
    ["bundle", "show", "-c", config],
  ]
  const outputs: Output[] = []
  for (const command of commands) {
    const { out, err } = await runAssay(command)
    outputs.push({ place: `assay ${command.slice(0, 2).join(" ")}`, bytes: Buffer.from(out + err) })
  }
  return outputs
}

/** What every user of the machine may see of it, and what its own user may. */
async function processOutputs(pid: number): Promise<readonly Output[]> {
  return Promise.all(
    ["cmdline", "environ"].map(async (name) => {
      return { place: `process ${name}`, bytes: await readFile(`/proc/${pid}/${name}`) }
    }),
  )
}

function textOf(answer: unknown): string {
  if (typeof answer === "string") return answer
  if (!(answer instanceof Error)) return JSON.stringify(answer)
  // Of a gRPC error: its status, its message, and the details as they are on the wire.
  const metadata: unknown = "metadata" in answer ? answer.metadata : undefined
  return [answer.name, answer.message, answer.stack, JSON.stringify(metadata), String(answer.cause)].join("\n")
}
