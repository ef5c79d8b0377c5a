import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { startAssayServer } from "../support/assay-process.ts"
import { makeHttpsFetch } from "../support/https-fetch.ts"
import { type LoadResult, runLoad } from "../support/peers/load.ts"
import { BUILT_SERVER, makeBenchCluster } from "./bench-server.ts"
import { warmUpOf } from "./measure.ts"
import { startOidcProvider } from "./oidc-provider-process.ts"
import { checked } from "./wire.ts"

export interface TokenRates {
  /** `client_credentials` with a JWT-SVID assertion: verified, decided, durable, signed. */
  readonly clientCredentials: LoadResult
  /** The same, one at a time. */
  readonly one: LoadResult
  /** RFC 8693 exchange of an access token by an authenticated client: two tokens verified. */
  readonly exchange: LoadResult
  /** `oidc-provider`: client_credentials with a client secret, ES256 JWT access tokens, kept in memory. */
  readonly oidcProvider: LoadResult
}

/** `/token` of a real server in a process of its own, and of `oidc-provider` in another, by the same compiled client. */
export async function measureTokens(seconds: number): Promise<TokenRates> {
  const folder = await mkdtemp(join(tmpdir(), "assay-bench-"))
  try {
    const load = async (name: string, target: string, ca: string, forms: readonly string[], inFlight: number) => {
      const files = { ca: join(folder, `${name}.pem`), forms: join(folder, `${name}.forms`) }
      await writeFile(files.ca, ca)
      await writeFile(files.forms, `${forms.join("\n")}\n`)
      const time = { duration: `${seconds}s`, warmup: `${warmUpOf(seconds)}s`, "server-name": "localhost" }
      const conns = { "in-flight": inFlight, conns: inFlight }
      return checked(await runLoad("form", { target, ...files, ...time, ...conns }, 120_000))
    }
    const ours = await measureAssay(folder, load)
    await using provider = await startOidcProvider(folder)
    const oidcProvider = await load("provider", provider.tokenEndpoint, provider.ca, [provider.form], IN_FLIGHT)
    return { ...ours, oidcProvider }
  } finally {
    await rm(folder, { recursive: true })
  }
}

type Load = (
  name: string,
  target: string,
  ca: string,
  forms: readonly string[],
  inFlight: number,
) => Promise<LoadResult>

async function measureAssay(folder: string, load: Load): Promise<Omit<TokenRates, "oidcProvider">> {
  const cluster = await makeBenchCluster(folder)
  const config = { ...cluster.config, ...TOKEN_CONFIG }
  await using server = await startAssayServer(config, BUILT_SERVER)
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
  return {
    one: await load("one", target, server.roots, credentials, 1),
    clientCredentials: await load("credentials", target, server.roots, credentials, IN_FLIGHT),
    exchange: await load("exchange", target, server.roots, exchanges, IN_FLIGHT),
  }
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
