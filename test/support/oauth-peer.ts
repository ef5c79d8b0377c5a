import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as oauth from "oauth4webapi"
import * as openid from "openid-client"
import { ASSERTION_TYPES, GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { type ClientPair, makeHttpsFetch } from "./https-fetch.ts"
import { makeScratch } from "./scratch.ts"
import { initTrustDomain, type ServerProcess, startServerProcess } from "./server-process.ts"
import { makeServerSetup, type ServerSetup } from "./server-setup.ts"
import { makeKeyPair } from "./test-ca.ts"
import { makeTestCsr } from "./test-csr.ts"

/** A server in a process of its own whose token endpoint knows {@link REGISTERED} and the stand-in cluster. */
export interface OAuthServer extends AsyncDisposable {
  readonly setup: ServerSetup
  readonly process: ServerProcess
  readonly fetch: typeof fetch
  fetchAs(client: ClientPair): typeof fetch
  /** Each way to authenticate, as the service account `web` or as the registered client. */
  readonly methods: readonly ClientMethod[]
  jwtSvid(serviceAccount?: string): Promise<string>
}

export interface ClientMethod {
  readonly name: "spiffe_jwt" | "spiffe_x509" | "private_key_jwt" | "kubernetes token"
  readonly clientId: string
  readonly auth: oauth.ClientAuth
  /** With the client certificate, when that is what authenticates. */
  readonly fetch: typeof fetch
}

export const ISSUER = "https://assay.example"
export const API = "https://api.example"
export const WEB = "spiffe://prod.example/ns/shop/sa/web"
export const REGISTERED = { clientId: "billing", spiffeId: "spiffe://prod.example/vm/billing" }

export async function startOAuthServer(oauthConfig: object = {}): Promise<OAuthServer> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeScratch("oauth")).directory
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"])
  const jwk = await crypto.subtle.exportKey("jwk", pair.publicKey)
  const jwks = join(folder, "billing.jwks")
  await writeFile(jwks, JSON.stringify({ keys: [{ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y, alg: "ES256" }] }))
  const clients = [{ client_id: REGISTERED.clientId, spiffe_id: REGISTERED.spiffeId, keys: { jwks_file: jwks } }]
  const setup = await makeServerSetup(folder, {
    ...CONFIG,
    oauth: { issuer: ISSUER, clients, resources: [{ audience: API, holders: [WEB] }], ...oauthConfig },
  })
  const { roots: ca } = await initTrustDomain(setup)
  const server = stack.use(await startServerProcess(setup))
  const port = server.httpsPort
  if (port === undefined) throw new Error("the server has no HTTPS door")
  const plain = makeHttpsFetch({ ca, port })
  const exchange = (form: Readonly<Record<string, string>>, serviceAccount: string) =>
    issued(plain, { ...form, subject_token: setup.token({ serviceAccount }), subject_token_type: TOKEN_TYPES.jwt })
  const jwtSvid = (serviceAccount = "web") =>
    exchange({ audience: ISSUER, requested_token_type: TOKEN_TYPES.jwt }, serviceAccount)
  const keyPair = makeKeyPair()
  const csr = Buffer.from(makeTestCsr({ keyPair })).toString("base64url")
  const cert = await exchange({ csr, requested_token_type: TOKEN_TYPES.x509Svid }, "web")
  const client = { cert, key: keyPair.privateKey.export({ format: "pem", type: "pkcs8" }).toString() }
  const fetchAs = (by: ClientPair) => makeHttpsFetch({ ca, port, client: by })
  const assertion = (type: string, make: () => Promise<string>): oauth.ClientAuth => {
    return async (_as, { client_id }, body) => {
      body.set("client_id", client_id)
      body.set("client_assertion_type", type)
      body.set("client_assertion", await make())
    }
  }
  const moved = stack.move()
  return {
    setup,
    process: server,
    fetch: plain,
    fetchAs,
    jwtSvid,
    methods: [
      { name: "spiffe_jwt", clientId: WEB, auth: assertion(ASSERTION_TYPES.jwtSpiffe, jwtSvid), fetch: plain },
      { name: "spiffe_x509", clientId: WEB, auth: oauth.TlsClientAuth(), fetch: fetchAs(client) },
      {
        name: "private_key_jwt",
        clientId: REGISTERED.clientId,
        auth: oauth.PrivateKeyJwt(pair.privateKey),
        fetch: plain,
      },
      {
        name: "kubernetes token",
        clientId: WEB,
        auth: assertion(ASSERTION_TYPES.jwtBearer, async () => setup.token()),
        fetch: plain,
      },
    ],
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

/** The access token, or whatever was issued. @throws Error with the answer */
async function issued(send: typeof fetch, form: Readonly<Record<string, string>>): Promise<string> {
  const body = new URLSearchParams({ grant_type: GRANT_TYPES["token-exchange"], ...form })
  const response = await send(`${ISSUER}/token`, { method: "POST", body })
  const answer = Object(await response.json())
  if (response.status !== 200) throw new Error(JSON.stringify(answer))
  return String(answer.access_token)
}

/** One client library, with what both can do. */
export interface OAuthClient {
  /** @throws the library's error */
  grant(
    type: string,
    parameters: Readonly<Record<string, string>>,
    dpop?: boolean,
  ): Promise<oauth.TokenEndpointResponse>
  introspect(token: string): Promise<oauth.IntrospectionResponse>
  revoke(token: string): Promise<void>
}

/** `oauth4webapi`, every answer checked by the library itself. */
export async function useOauth4webapi(method: ClientMethod): Promise<OAuthClient> {
  const { auth, fetch: send } = method
  const client: oauth.Client = { client_id: method.clientId }
  const options = { [oauth.customFetch]: (url: string, init: object) => send(url, init) }
  const issuer = new URL(ISSUER)
  const discovered = await oauth.discoveryRequest(issuer, { ...options, algorithm: "oauth2" })
  const as = await oauth.processDiscoveryResponse(issuer, discovered)
  const keys = await oauth.generateKeyPair("ES256")
  return {
    grant: async (type, parameters, withDpop = false) => {
      const dpop = withDpop ? { DPoP: oauth.DPoP(client, keys) } : {}
      const ask = async () => {
        const all = { ...options, ...dpop }
        const response = await oauth.genericTokenEndpointRequest(as, client, auth, type, { ...parameters }, all)
        const recognized = { recognizedTokenTypes: { n_a: () => undefined } }
        return oauth.processGenericTokenEndpointResponse(as, client, response, recognized)
      }
      return ask().catch((error: unknown) => {
        if (oauth.isDPoPNonceError(error)) return ask()
        throw error
      })
    },
    introspect: async (token) => {
      const response = await oauth.introspectionRequest(as, client, auth, token, options)
      return oauth.processIntrospectionResponse(as, client, response)
    },
    revoke: async (token) => {
      const response = await oauth.revocationRequest(as, client, auth, token, options)
      await oauth.processRevocationResponse(response)
    },
  }
}

/** `openid-client`, by OIDC discovery. */
export async function useOpenidClient(method: ClientMethod): Promise<OAuthClient> {
  const custom = (url: string, init: object) => method.fetch(url, init)
  // oxlint-disable-next-line typescript/no-misused-promises -- the library awaits it, whatever its type says
  const auth: openid.ClientAuth = method.auth
  const config = await openid.discovery(new URL(ISSUER), method.clientId, undefined, auth, {
    [openid.customFetch]: custom,
  })
  const keys = await openid.randomDPoPKeyPair("ES256")
  return {
    grant: (type, parameters, withDpop = false) => {
      const dpop = withDpop ? { DPoP: openid.getDPoPHandle(config, keys) } : {}
      if (type === "client_credentials") return openid.clientCredentialsGrant(config, { ...parameters }, dpop)
      return openid.genericGrantRequest(config, type, { ...parameters }, dpop)
    },
    introspect: (token) => openid.tokenIntrospection(config, token),
    revoke: (token) => openid.tokenRevocation(config, token),
  }
}

const EVERY_MODE = ["self", "impersonation", "delegation"]
const CONFIG = {
  listen: { grpc: "127.0.0.1:0", https: "127.0.0.1:0", health: "127.0.0.1:0" },
  serving: { dns_names: ["assay.example"], ip_addresses: ["127.0.0.1"] },
  token_rules: {
    exports: [{ name: "all", subject: "*", audience: "*", mode: EVERY_MODE, client: "*", actor: "*" }],
    accepts: [
      {
        name: "all",
        audience: [API, ISSUER, "spiffe://prod.example"],
        subject: "*",
        mode: EVERY_MODE,
        product: ["access-token", "jwt-svid", "x509-svid"],
        binding: ["none", "dpop", "mtls"],
        scopes: ["read", "write"],
        default_scopes: [],
      },
    ],
  },
}
