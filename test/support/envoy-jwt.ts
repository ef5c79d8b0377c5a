import { once } from "node:events"
import { createServer } from "node:http"
import { request } from "node:https"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { FakeSource } from "./fake-source.ts"
import { meshView } from "./mesh.ts"
import { type Envoy, startEnvoy } from "./peers/envoy.ts"
import { projectFiles } from "./project-files.ts"
import { makeScratch } from "./scratch.ts"
import { listenSds } from "./sds-under-test.ts"
import { makeBundle, makeTestCa } from "./test-ca.ts"
import { type FormFields, openTokenServer, type TokenServer, type TokenServerOptions } from "./token-server.ts"

/** An Envoy that is set up by deploy/envoy/jwt-authn.yaml, between callers and a service that answers with what it was told. */
export interface GuardedService extends AsyncDisposable {
  readonly server: TokenServer
  readonly envoy: Envoy
  /** Status, and `x-assay-subject` as the service saw it or Envoy's reason. */
  call(token: string | undefined, headers?: Readonly<Record<string, string>>): Promise<string>
  /** A token that the workload `web` gets for its platform token. */
  exchange(form?: FormFields, headers?: Readonly<Record<string, string>>): Promise<string>
  /** How often Envoy has read the keys. */
  fetches(): Promise<number>
}

export interface GuardedOptions extends TokenServerOptions {
  /** Seconds; default: as in the file. */
  readonly cacheDuration?: number
}

/** The audience of the file. */
export const ORDERS = "https://orders.prod.example"

export async function openGuardedService(options: GuardedOptions = {}): Promise<GuardedService> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(
    await openTokenServer({
      tokenRules: RULES,
      ...options,
      config: { limits: { identity_rate: "1000/s", identity_burst: 5000 }, ...options.config },
    }),
  )
  const sockets = stack.use(await makeScratch("jwt-authn"))
  const socket = sockets.path("agent.sock")
  const ca = makeTestCa({ trustDomain: server.setup.trustDomain })
  const view = meshView(1, `spiffe://${server.setup.trustDomain}/ns/shop/sa/orders`, ca)
  const roots = server.pipeline.trust.snapshot().own.x509Authorities
  const own = makeBundle(view.snapshot.own.trustDomain, roots)
  const source = new FakeSource({ kind: "ready", view: { ...view, snapshot: { ...view.snapshot, own } } })
  stack.use(await listenSds({ path: socket, source }))
  const service = stack.use(await listenEcho())
  const envoy = stack.use(
    await startEnvoy({ name: "jwt-authn", bootstrapYaml: bootstrap(server.port, service.port, socket, options) }),
  )
  const port = await envoy.listenerPort("api")
  const moved = stack.move()
  return {
    server,
    envoy,
    call: (token, headers = {}) => callOver(port, { ...headers, ...(token && { authorization: `Bearer ${token}` }) }),
    exchange: async (form = {}, headers = {}) => {
      const subject = { subject_token: server.setup.token(), subject_token_type: TOKEN_TYPES.jwt }
      const asked = { grant_type: GRANT_TYPES["token-exchange"], audience: ORDERS, scope: "read", ...subject, ...form }
      const { status, body } = await server.post("/token", asked, headers)
      if (status !== 200) throw new Error(JSON.stringify(body))
      return String(body["access_token"])
    },
    fetches: () => envoy.stat("http.api.jwt_authn.jwks_fetch_success"),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

/** The file with the addresses of a test. */
function bootstrap(issuer: number, service: number, socket: string, { cacheDuration }: GuardedOptions): string {
  const file = projectFiles("deploy/envoy/jwt-authn.yaml")[0]?.text ?? ""
  const changes: readonly (readonly [string, string])[] = [
    ["address: assay.prod.example, port_value: 8444", `address: 127.0.0.1, port_value: ${issuer}`],
    ["address: 0.0.0.0, port_value: 8443", "address: 127.0.0.1, port_value: 0"],
    ["port_value: 8080", `port_value: ${service}`],
    ["/run/assay/agent.sock", socket],
    ["https://assay.prod.example", "https://assay.example"],
    ["cache_duration: 300s", `cache_duration: ${cacheDuration ?? 300}s`],
  ]
  return changes.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`deploy/envoy/jwt-authn.yaml has no "${from}"`)
    return text.replaceAll(from, to)
  }, file)
}

async function listenEcho(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer(({ headers }, response) => response.end(String(headers["x-assay-subject"])))
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new TypeError("not a TCP listener")
  return {
    port: address.port,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, "close")
    },
  }
}

/** Who Envoy is is for other tests. */
function callOver(port: number, headers: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, headers, agent: false, rejectUnauthorized: false, timeout: CALL_MILLIS }
    const outgoing = request(options, (incoming) => {
      let body = ""
      incoming.setEncoding("utf8")
      incoming.on("data", (text: string) => {
        body += text
      })
      incoming.on("end", () => resolve(`${incoming.statusCode} ${body}`))
    })
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer in time")))
    outgoing.on("error", reject)
    outgoing.end()
  })
}

const CALL_MILLIS = 30_000
const RULES = {
  exports: [{ name: "all", subject: "*", audience: "*" }],
  accepts: [
    {
      name: "orders",
      audience: [ORDERS, "https://ledger.prod.example"],
      subject: "*",
      product: ["access-token", "jwt-svid"],
      scopes: ["read", "write"],
      binding: ["none", "dpop"],
    },
  ],
}
