/** `oidc-provider` as a server for client credentials, with signed JWT access tokens: the peer of the token benchmark. */
import { generateKeyPairSync } from "node:crypto"
import { readFileSync } from "node:fs"
import { createServer } from "node:https"
import { Provider } from "oidc-provider"

const [, , certFile = "", keyFile = ""] = process.argv
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
const provider = new Provider("https://localhost", {
  clients: [
    {
      client_id: "bench",
      client_secret: "bench-secret",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256",
      token_endpoint_auth_method: "client_secret_post",
    },
  ],
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig", kid: "bench" }] },
  scopes: ["read"],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: "read",
        accessTokenFormat: "jwt",
        accessTokenTTL: 300,
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
})
const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, provider.callback())
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  process.stdout.write(`listens on ${typeof address === "object" ? address?.port : ""}\n`)
})
