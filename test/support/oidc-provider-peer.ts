import type { RequestListener } from "node:http"
import { createServer } from "node:https"
import { Provider } from "oidc-provider"
import { encodePem } from "../../src/core/x509/pem.ts"
import { makeHttpsFetch } from "./https-fetch.ts"
import { makeTestCa } from "./test-ca.ts"

/** `oidc-provider` in this process, over HTTPS on a loopback port. */
export interface OidcProviderPeer extends AsyncDisposable {
  readonly fetch: typeof fetch
}

/** @param jwk public key of the client `billing`, which authenticates by `private_key_jwt` */
export async function startOidcProviderPeer(issuer: string, jwk: object): Promise<OidcProviderPeer> {
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "billing",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: "private_key_jwt",
        id_token_signed_response_alg: "RS256",
        jwks: { keys: [jwk] },
      },
    ],
    scopes: ["read", "write"],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({ scope: "read write", accessTokenFormat: "jwt" }),
      },
    },
    routes: { token: "/token", introspection: "/introspect", revocation: "/revoke" },
  })
  const ca = makeTestCa()
  const { chain, pkcs8 } = ca.issueLeaf("spiffe://example.org/provider", { dnsNames: [new URL(issuer).hostname] })
  const cert = chain.map((der) => encodePem("CERTIFICATE", der)).join("")
  const listener: RequestListener = provider.callback()
  const server = createServer({ cert, key: encodePem("PRIVATE KEY", pkcs8) }, listener)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return {
    fetch: makeHttpsFetch({ ca: encodePem("CERTIFICATE", ca.root.certificate.der), port }),
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
