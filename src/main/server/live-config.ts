import type { ClusterTrust } from "../../app/attest/cluster-trust.ts"
import type { ServerConfig } from "../config/server-config.ts"
import { type ClusterDeps, openClusters } from "./clusters.ts"
import { openTokenIssuers, type TokenIssuers } from "./token-issuers.ts"

/** The parts of a configuration that can change while the server runs. */
export interface LiveConfig {
  readonly config: ServerConfig
  readonly clusters: readonly ClusterTrust[]
  readonly tokenIssuers: TokenIssuers
}

/** A configuration with everything in it opened that verifies tokens. Remembered attestations go with the old ones. */
export async function openLiveConfig(config: ServerConfig, deps: ClusterDeps): Promise<LiveConfig> {
  const [clusters, tokenIssuers] = await Promise.all([
    openClusters(config.clusters, deps),
    openTokenIssuers(config.oauth, deps),
  ])
  return { config, clusters, tokenIssuers }
}
