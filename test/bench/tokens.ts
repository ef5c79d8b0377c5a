import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { type AssayServer, startAssayServer } from "../support/assay-process.ts"
import { makeHttpsFetch } from "../support/https-fetch.ts"
import type { LoadResult } from "../support/peers/load.ts"
import { makeScratch } from "../support/scratch.ts"
import { BUILT_SERVER, makeBenchCluster } from "./bench-server.ts"
import { measureLoad } from "./measure-load.ts"
import { startOidcProvider } from "./oidc-provider-process.ts"
import { inRounds, type Span, type Spans } from "./rounds.ts"

export interface TokenRates {
  /** `client_credentials` with a JWT-SVID assertion, one at a time: verified, decided, durable, signed. */
  readonly one: LoadResult
  /** In each round. */
  readonly rounds: TokenRounds
}

export interface TokenRounds {
  /** The same, 64 in flight. */
  readonly clientCredentials: readonly LoadResult[]
  /** RFC 8693 exchange of an access token by an authenticated client: two tokens verified. */
  readonly exchange: readonly LoadResult[]
  /** `oidc-provider`: client_credentials with a client secret, ES256 JWT access tokens, kept in memory. */
  readonly oidcProvider: readonly LoadResult[]
}

/** `/token` of a real server in a process of its own, and of `oidc-provider` in another, by the same compiled client. */
export async function measureTokens(spans: Spans): Promise<TokenRates> {
  await using stack = new AsyncDisposableStack()
  const { directory: folder } = stack.use(await makeScratch("bench"))
  const { server, target, forms } = await startTokenServer(folder, stack)
  const provider = stack.use(await startOidcProvider(folder))
  const load = async (
    name: string,
    door: { target: string; ca: string },
    bodies: readonly string[],
    inFlight: number,
  ) => {
    const files = { ca: join(folder, `${name}.pem`), forms: join(folder, `${name}.forms`) }
    await writeFile(files.ca, door.ca)
    await writeFile(files.forms, `${bodies.join("\n")}\n`)
    const flags = { target: door.target, ...files, "server-name": "localhost", "in-flight": inFlight, conns: inFlight }
    return (span: Span) => measureLoad("form", flags, span)
  }
  const own = { target, ca: server.roots }
  const peer = { target: provider.tokenEndpoint, ca: provider.ca }
  const [first] = spans
  return {
    one: await (await load("one", own, forms.credentials, 1))(first),
    rounds: await inRounds(spans, {
      clientCredentials: await load("credentials", own, forms.credentials, IN_FLIGHT),
      exchange: await load("exchange", own, forms.exchanges, IN_FLIGHT),
      oidcProvider: await load("provider", peer, [provider.form], IN_FLIGHT),
    }),
  }
}

interface TokenServer {
  readonly server: AssayServer
  /** Its token endpoint. */
  readonly target: string
  /** Bodies that it answers with a token. */
  readonly forms: { readonly credentials: readonly string[]; readonly exchanges: readonly string[] }
}

async function startTokenServer(folder: string, stack: AsyncDisposableStack): Promise<TokenServer> {
  const cluster = await makeBenchCluster(folder)
  const config = { ...cluster.config, ...TOKEN_CONFIG }
  const server = stack.use(await startAssayServer(config, BUILT_SERVER))
  const { httpsPort } = server
  if (httpsPort === undefined) throw new Error("the server has no HTTPS door")
  const target = `https://127.0.0.1:${httpsPort}/token`
  const fetchForm = makeHttpsFetch({ ca: server.roots, port: httpsPort })
  const tokenFor = async (form: Readonly<Record<string, string>>) => {
    const body = new URLSearchParams(form)
    const response = await fetchForm("https://localhost/token", { method: "POST", body })
    const answer = Object(await response.json())
    if (response.status !== 200) throw new Error(JSON.stringify(answer))
    return String(answer.access_token)
  }
  const exchange = { grant_type: GRANT_TYPES["token-exchange"] }
  const assertions = await Promise.all(
    Array.from({ length: CLIENTS }, () =>
      tokenFor({
        ...exchange,
        subject_token: cluster.makeToken(),
        subject_token_type: TOKEN_TYPES.jwt,
        requested_token_type: TOKEN_TYPES.jwt,
        audience: ISSUER,
      }),
    ),
  )
  const client = (assertion: string) => ({
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
    client_assertion: assertion,
  })
  const credentials = assertions.map((one) =>
    encode({ grant_type: "client_credentials", audience: API, scope: "read", ...client(one) }),
  )
  const exchanges = await Promise.all(
    assertions.map(async (one) => {
      const subject_token = await tokenFor({ grant_type: "client_credentials", audience: ISSUER, ...client(one) })
      const subject = { subject_token, subject_token_type: TOKEN_TYPES.accessToken }
      return encode({ ...exchange, ...subject, audience: API, ...client(one) })
    }),
  )
  return { server, target, forms: { credentials, exchanges } }
}

function encode(form: Readonly<Record<string, string>>): string {
  return new URLSearchParams(form).toString()
}

const ISSUER = "https://assay.bench.example"
const API = "https://api.bench.example"
const CLIENTS = 64
const IN_FLIGHT = 64
const TOKEN_CONFIG = {
  listen: { grpc: "127.0.0.1:0", https: "127.0.0.1:0", health: "127.0.0.1:0" },
  oauth: { issuer: ISSUER },
  jwt: { ttl: "1h" },
  token_rules: {
    exports: [{ name: "own", subject: "*", audience: "*" }],
    accepts: [
      {
        name: "bench",
        audience: [API, ISSUER],
        subject: "*",
        product: ["access-token", "jwt-svid"],
        scopes: ["read"],
      },
    ],
  },
}
