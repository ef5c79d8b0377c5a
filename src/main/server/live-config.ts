import type { ClusterTrust } from "../../app/attest/cluster-trust.ts"
import type { ExternalIssuer } from "../../app/attest/prove-external-token.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { ServerConfig } from "../config/server-config.ts"
import { type ClusterDeps, openClusters } from "./clusters.ts"
import { KeySets } from "./key-sets.ts"
import { openOutsideIssuers, openTokenIssuers, type TokenIssuers } from "./token-issuers.ts"

/** The parts of a configuration that can change while the server runs. */
export interface LiveConfig {
  readonly config: ServerConfig
  readonly clusters: readonly ClusterTrust[]
  readonly tokenIssuers: TokenIssuers
  /** Whose tokens operators may show. */
  readonly adminIssuers: readonly ExternalIssuer[]
  /** Who may ask about the tokens for an audience, by audience. */
  readonly audienceHolders: ReadonlyMap<string, ReadonlySet<SpiffeId>>
  readonly keySets: KeySets
}

/**
 * A configuration with everything in it opened that verifies tokens. Remembered attestations go with the old ones.
 * @param before in whose place it comes: it goes on with the keys that were read there
 */
export async function openLiveConfig(
  config: ServerConfig,
  deps: Omit<ClusterDeps, "keySets">,
  before?: LiveConfig,
): Promise<LiveConfig> {
  const keySets = new KeySets(before?.keySets)
  const opening = { ...deps, keySets }
  const [clusters, tokenIssuers, adminIssuers] = await Promise.all([
    openClusters(config.clusters, opening),
    openTokenIssuers(config.oauth, opening),
    openOutsideIssuers(config.admin.issuers, opening),
  ])
  const resources = config.oauth?.resources ?? []
  const audienceHolders = new Map(resources.map(({ audience, holders }) => [audience, new Set(holders)]))
  return { config, clusters, tokenIssuers, adminIssuers, audienceHolders, keySets }
}
