import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { Child } from "./child.ts"
import { freePort } from "./free-port.ts"
import { peerFile } from "./peer.ts"

/** A SPIRE server with its defaults but for rate limits, which would stop any measurement. */
export interface SpireServer extends AsyncDisposable {
  /** `127.0.0.1:<port>` */
  readonly address: string
  /** PEM file of its authorities. */
  readonly ca: string
  readonly pid: number
  /** A join token that was not used yet, and a registration entry of the agent that uses it. */
  makeAgent(): Promise<{ readonly joinToken: string; readonly entry: string }>
}

export async function startSpire(): Promise<SpireServer> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), "spire-"))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const command = await peerFile("spire", "spire-server")
  const [port, socket] = [await freePort(), join(folder, "api.sock")]
  const config = join(folder, "server.conf")
  await writeFile(config, configOf(folder, port, socket))
  const args = ["run", "-config", config]
  const child = stack.use(new Child({ name: "spire-server", command, args, log: join(folder, "server.log") }))
  const ask = async (...words: string[]) => (await promisify(execFile)(command, words)).stdout
  const at = ["-socketPath", socket]
  await child.until("healthy", () => ask("healthcheck", ...at), READY_MILLIS)
  const ca = join(folder, "ca.pem")
  await writeFile(ca, await ask("bundle", "show", ...at))
  const started = stack.move()
  let agents = 0
  return {
    address: `127.0.0.1:${port}`,
    ca,
    pid: child.pid,
    async makeAgent() {
      const joinToken = tokenOf(await ask("token", "generate", ...at, "-output", "json"))
      const parent = ["-parentID", `spiffe://${TRUST_DOMAIN}/spire/agent/join_token/${joinToken}`]
      const of = ["-spiffeID", `spiffe://${TRUST_DOMAIN}/bench/${++agents}`, "-selector", "unix:uid:0"]
      return { joinToken, entry: entryOf(await ask("entry", "create", ...at, ...parent, ...of, "-output", "json")) }
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

function tokenOf(text: string): string {
  const reply: unknown = JSON.parse(text)
  if (typeof reply === "object" && reply !== null && "value" in reply && typeof reply.value === "string") {
    return reply.value
  }
  throw new TypeError(`SPIRE printed no token: ${text}`)
}

function entryOf(text: string): string {
  const [, id] = /"id":\s*"([0-9a-f-]{36})"/.exec(text) ?? []
  if (id === undefined) throw new TypeError(`SPIRE printed no entry: ${text}`)
  return id
}

function configOf(folder: string, port: number, socket: string): string {
  return `server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${socket}"
  trust_domain = "${TRUST_DOMAIN}"
  data_dir = "${folder}"
  log_level = "WARN"
  ca_ttl = "24h"
  default_x509_svid_ttl = "1h"
  ratelimit { attestation = false signing = false }
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${folder}/datastore.sqlite3" } }
  KeyManager "memory" { plugin_data {} }
  NodeAttestor "join_token" { plugin_data {} }
}
`
}

const TRUST_DOMAIN = "spire.example"
const READY_MILLIS = 60_000
