import { DatabaseSync } from "node:sqlite"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { ASSERTION_TYPES } from "../../src/core/oauth/urns.ts"
import { openEvidence } from "../../src/main/server/evidence.ts"
import { openRotations, type ServerRotations } from "../../src/main/server/rotation.ts"
import { openServingTls } from "../../src/main/server/serving-certificate.ts"
import { openTokens } from "../../src/main/server/token-listener.ts"
import { makeServerEvents } from "../../src/main/server-events.ts"
import { type ClientPair, makeHttpsFetch } from "./https-fetch.ts"
import { makeScratch } from "./scratch.ts"
import { type ConfigOverrides, makeServerSetup } from "./server-setup.ts"
import { openPipelineUnderTest, type PipelineOptions, type PipelineUnderTest } from "./server-under-test.ts"
import { openX509Client, type X509Client } from "./x509-client.ts"

/** A server with its HTTPS door on a loopback port, in this process. Its clients know it as {@link ISSUER}. */
export interface TokenServer extends PipelineUnderTest {
  readonly port: number
  /** Nobody drives them but the test. */
  readonly rotations: ServerRotations
  /** `fetch` that trusts the server, and reaches it under every name. */
  readonly fetch: typeof fetch
  /** The same with a client certificate. */
  fetchAs(client: ClientPair): typeof fetch
  /** A JWT-SVID of the service account, for the issuer unless said otherwise. */
  jwtSvid(order?: { readonly serviceAccount?: string; readonly audience?: readonly string[] }): Promise<string>
  /** A fresh X.509-SVID of the service account, for handshakes. */
  x509Client(serviceAccount: string): Promise<X509Client>
  /** POST a form; a list stands for a parameter that is repeated. */
  post(path: string, form: FormFields, headers?: Readonly<Record<string, string>>): Promise<Answer>
  /** POST to `/token` as the service account, by a JWT-SVID assertion. */
  ask(form: FormFields, serviceAccount?: string): Promise<Answer>
  /** The newest audit record of a type that fits, with the columns of every record. */
  auditRecord(type: string, fits: (record: JsonRecord) => boolean): Promise<JsonRecord | undefined>
}

export type JsonRecord = Readonly<Record<string, unknown>>

export type FormFields = Readonly<Record<string, string | readonly string[]>>

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>>
}

export interface TokenServerOptions extends PipelineOptions {
  /** Writes files that the configuration names, by their names in this folder; a value `folder:<name>` is replaced by the path. */
  readonly files?: (folder: string) => Promise<void>
  /** Default: everybody may have everything for the audiences of these tests. */
  readonly tokenRules?: ConfigOverrides
  /** Laid over `oauth` of the configuration. */
  readonly oauth?: ConfigOverrides
}

export const ISSUER = "https://assay.example"
/** An audience that everybody may have in these tests. */
export const API = "https://api.example"

export async function openTokenServer(options: TokenServerOptions = {}): Promise<TokenServer> {
  await using stack = new AsyncDisposableStack()
  const config = {
    listen: { grpc: "127.0.0.1:0", https: "127.0.0.1:0", health: "127.0.0.1:0" },
    serving: { dns_names: ["assay.example"], ip_addresses: ["127.0.0.1"] },
    ...options.config,
    token_rules: options.tokenRules ?? OPEN_RULES,
    oauth: { issuer: ISSUER, ...options.oauth },
  }
  const scratch = stack.use(await makeScratch())
  await options.files?.(scratch.directory)
  const setup = await makeServerSetup(scratch.directory, inFolder(config, scratch.directory))
  const server = stack.use(
    await openPipelineUnderTest({ ...options, setup, config: inFolder(config, scratch.directory) }),
  )
  const { pipeline, state, metrics, log, clock, live } = server
  const random = makeSystemRandom()
  const { trust, issuing, ephemeral, serialPrefix } = pipeline
  const plan = { ttl: 3600, backdate: 10, serialPrefix }
  const servingDeps = { trust, issuing, ephemeral, signIntent: pipeline.signIntent, clock, random, plan }
  const limits = { headerBytes: 16_384, streamsPerConnection: 100 }
  const serving = await openServingTls(live().config.serving, servingDeps, limits, log)
  const events = makeServerEvents(log, metrics)
  const door = await openTokens({ pipeline, state, live, clock, random, events, log, serving })
  const rotations = openRotations({
    pipeline,
    state,
    serving,
    live,
    evidence: openEvidence(pipeline, state, clock, () => live().config),
    clock,
    random,
    log,
  })
  if (door === undefined) throw new Error("no HTTPS door")
  stack.use(door)
  const { port } = door
  const fetchPlain = makeHttpsFetch({ ca: server.roots, port })
  const jwtSvid: TokenServer["jwtSvid"] = async ({ serviceAccount = "web", audience = [ISSUER] } = {}) => {
    const token = server.setup.token({ serviceAccount })
    const order = { token, audience, spiffeId: undefined, ttl: undefined, requestId: "test" }
    return (await pipeline.issueJwt(order, new AbortController().signal)).token
  }
  const post: TokenServer["post"] = async (path, form, headers = {}) => {
    const body = new URLSearchParams(
      Object.entries(form).flatMap(([name, value]) => [value].flat().map((one): [string, string] => [name, one])),
    )
    return answerOf(await fetchPlain(`${ISSUER}${path}`, { method: "POST", body, headers }))
  }
  const moved = stack.move()
  return {
    ...server,
    port,
    rotations,
    fetch: fetchPlain,
    fetchAs: (client) => makeHttpsFetch({ ca: server.roots, port, client }),
    jwtSvid,
    x509Client: (serviceAccount) => openX509Client(server, serviceAccount),
    post,
    ask: async (form, serviceAccount = "web") => {
      const assertion = await jwtSvid({ serviceAccount })
      return post("/token", { ...spiffeJwt(assertion), ...form })
    },
    auditRecord: async (type, fits) => {
      using db = new DatabaseSync(live().config.storage.sqlite, { readOnly: true, timeout: 10_000 })
      const rows = db
        .prepare("SELECT actor, request_id, data FROM audit_event WHERE type = ? ORDER BY seq DESC")
        .all(type)
      return rows.map(({ data, ...columns }) => ({ ...columns, ...JSON.parse(String(data)) })).find(fits)
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

function inFolder(config: object, folder: string): ConfigOverrides {
  return JSON.parse(JSON.stringify(config).replaceAll("folder:", `${folder}/`))
}

/** The parameters of client authentication by a JWT-SVID. */
export function spiffeJwt(assertion: string): FormFields {
  return { client_assertion_type: ASSERTION_TYPES.jwtSpiffe, client_assertion: assertion }
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text()
  const body: unknown = text === "" ? {} : JSON.parse(text)
  if (typeof body !== "object" || body === null) throw new TypeError("not an object")
  return { status: response.status, headers: response.headers, body: { ...body } }
}

/** The claims of a token of which nothing is verified. */
export function claimsOf(token: unknown): Readonly<Record<string, unknown>> {
  return partOf(token, 1)
}

export function headerOf(token: unknown): Readonly<Record<string, unknown>> {
  return partOf(token, 0)
}

function partOf(token: unknown, index: number): Readonly<Record<string, unknown>> {
  const part = String(token).split(".")[index] ?? ""
  return JSON.parse(Buffer.from(part, "base64url").toString())
}

const EVERY_MODE = ["self", "impersonation", "delegation"]
const EVERYBODY = ["*", "spiffe://other.example/*"]
const OPEN_RULES = {
  exports: [{ name: "all", subject: EVERYBODY, audience: "*", mode: EVERY_MODE, client: EVERYBODY, actor: EVERYBODY }],
  accepts: [
    {
      name: "all",
      audience: [API, "https://b.example", ISSUER, "spiffe://prod.example"],
      subject: EVERYBODY,
      mode: EVERY_MODE,
      product: ["access-token", "jwt-svid", "x509-svid"],
      binding: ["none", "dpop", "mtls"],
      scopes: ["read", "write"],
      default_scopes: [],
    },
  ],
}
