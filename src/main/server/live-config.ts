import type { ClusterTrust } from "../../app/attest/cluster-trust.ts"
import type { ExternalIssuer } from "../../app/attest/prove-external-token.ts"
import type { ServerConfig } from "../config/server-config.ts"
import { type ClusterDeps, openClusters } from "./clusters.ts"
import { openOutsideIssuers, openTokenIssuers, type TokenIssuers } from "./token-issuers.ts"

/** The parts of a configuration that can change while the server runs. */
export interface LiveConfig {
  readonly config: ServerConfig
  readonly clusters: readonly ClusterTrust[]
  readonly tokenIssuers: TokenIssuers
  /** Whose tokens operators may show. */
  readonly adminIssuers: readonly ExternalIssuer[]
}

/** A configuration with everything in it opened that verifies tokens. Remembered attestations go with the old ones. */
export async function openLiveConfig(config: ServerConfig, deps: ClusterDeps): Promise<LiveConfig> {
  const [clusters, tokenIssuers, adminIssuers] = await Promise.all([
    openClusters(config.clusters, deps),
    openTokenIssuers(config.oauth, deps),
    openOutsideIssuers(config.admin.issuers, deps),
  ])
  return { config, clusters, tokenIssuers, adminIssuers }
}
