import { stringify } from "yaml"

/** Names of the demo's world, as a cluster's operator would choose them. */
export const TRUST_DOMAIN = "demo.example"
export const NAMESPACE = "shop"
export const AUDIENCE = "assay"
/** Issuer of access tokens, and a service that takes them. */
export const TOKEN_ISSUER = "https://assay.demo.example"
export const ORDERS = "https://orders.demo.example"
export const CLUSTER_ISSUER = "https://local-cluster.demo.example"

export interface ServerFiles {
  /** SQLite file, folder of sealed keys, file of the key that seals them. */
  readonly store: string
  readonly keys: string
  readonly sealingKey: string
  /** Where the stand-in cluster answers. */
  readonly clusterUrl: string
}

/** Configuration of the server. SVIDs live six seconds, so that a rotation need not be waited for. */
export function serverYaml({ store, keys, sealingKey, clusterUrl }: ServerFiles): string {
  return stringify({
    trust_domain: TRUST_DOMAIN,
    listen: { grpc: "127.0.0.1:0", https: "127.0.0.1:0", health: "127.0.0.1:0" },
    serving: { dns_names: ["localhost"], ip_addresses: ["127.0.0.1"] },
    storage: { sqlite: store },
    keys: { directory: keys, sealing_key_file: sealingKey },
    x509: { ttl: "6s", ttl_jitter: "0%" },
    issuing: { ttl: "40s" },
    // All clocks are this machine's, and there are few to renew.
    rotation: { skew: "0s", wave_share: "100%", wave_interval: "1s" },
    clusters: [
      {
        name: "local",
        issuer: CLUSTER_ISSUER,
        audiences: [AUDIENCE],
        keys: { jwks_url: `${clusterUrl}/openid/v1/jwks` },
        token_review: { mode: "bootstrap", url: clusterUrl },
      },
    ],
    oauth: { issuer: TOKEN_ISSUER },
    token_rules: {
      exports: [{ name: "own", subject: "*", audience: "*" }],
      accepts: [{ name: "orders", audience: ORDERS, subject: `/ns/${NAMESPACE}/*`, scopes: ["read", "write"] }],
    },
    drain: { timeout: "1s" },
  })
}

export interface AgentFiles {
  readonly name: string
  /** `host:port` of the server's gRPC listener. */
  readonly server: string
  readonly bundle: string
  readonly token: string
  readonly socket: string
}

export function agentYaml({ name, server, bundle, token, socket }: AgentFiles): string {
  return stringify({
    trust_domain: TRUST_DOMAIN,
    server: { address: server },
    bootstrap: { bundle_file: bundle },
    token_file: token,
    socket: { path: socket, mode: "0700" },
    name,
    drain: { timeout: "1s" },
  })
}
