import { type JwksSource, makeJwksKeys } from "../../adapters/kube/jwks-keys.ts"
import { makeClusterJwksSource, makeFileJwksSource, makeUrlJwksSource } from "../../adapters/kube/jwks-source.ts"
import { type KubeEndpoint, makeFileEndpoint } from "../../adapters/kube/kube-endpoint.ts"
import { openKubeconfigEndpoint } from "../../adapters/kube/kubeconfig-endpoint.ts"
import { makeTokenReviewer } from "../../adapters/kube/token-review.ts"
import type { ClusterTrust, ReviewPolicy } from "../../app/attest/cluster-trust.ts"
import type { Clock } from "../../ports/clock.ts"
import type { JwsVerifier } from "../../ports/jws.ts"
import type { ClusterKeys } from "../../ports/kube.ts"
import type { Log } from "../../ports/telemetry.ts"
import type { ClusterKeySource, ReviewSource } from "../config/cluster-schema.ts"
import type { ClusterConfig } from "../config/server-config.ts"
import type { KeySets } from "./key-sets.ts"

export interface ClusterDeps {
  readonly verifier: JwsVerifier
  readonly clock: Clock
  readonly log: Log
  /** What was read before of the sources of keys. Default: nothing was. */
  readonly keySets?: KeySets
}

/** The configured clusters, ready to attest by. A new array each time; nothing is asked of the clusters yet. */
export function openClusters(configs: readonly ClusterConfig[], deps: ClusterDeps): Promise<readonly ClusterTrust[]> {
  return Promise.all(configs.map((config) => openCluster(config, deps)))
}

async function openCluster(config: ClusterConfig, deps: ClusterDeps): Promise<ClusterTrust> {
  const { log } = deps
  return {
    name: config.name,
    issuer: config.issuer,
    audiences: config.audiences,
    keys: await openKeys(config.keys, deps, (err) => {
      log.warn({ cluster: config.name, err }, "the cluster's token keys cannot be read")
    }),
    review: await openReview(config),
    requireBoundPod: config.requireBoundPod,
    requireBoundNode: config.requireBoundNode,
  }
}

/** The keys of a source, of which nothing is read yet. @param onReadFailed told of each read that failed */
export async function openKeys(
  config: ClusterKeySource,
  { verifier, clock, keySets }: ClusterDeps,
  onReadFailed: (error: unknown) => void,
): Promise<ClusterKeys> {
  const { source, place } = await openKeySource(config)
  return makeJwksKeys({ source, verifier, clock, onReadFailed, ...(keySets && { last: keySets.of(place) }) })
}

/** Where keys are read from; nothing is read yet. `place` tells sources apart, also by the server that a kubeconfig names now. */
export async function openKeySource(
  config: ClusterKeySource,
): Promise<{ readonly source: JwksSource; readonly place: string }> {
  const place = JSON.stringify(config)
  switch (config.kind) {
    case "jwks-file":
      return { source: makeFileJwksSource(config.file), place }
    case "jwks-url":
      return { source: makeUrlJwksSource(makeFileEndpoint(config)), place }
    case "kubeconfig": {
      const endpoint = await openKubeconfigEndpoint(config.file, config.context)
      return { source: makeClusterJwksSource(endpoint), place: `${place} ${endpoint.server.href}` }
    }
    default:
      return config satisfies never
  }
}

async function openReview({ tokenReview, degradedFor }: ClusterConfig): Promise<ReviewPolicy> {
  if (tokenReview.mode === "off") return { mode: "off" }
  const reviewer = makeTokenReviewer(await openApiServer(tokenReview.source))
  return { mode: tokenReview.mode, reviewer, degradedFor }
}

/** An API server with the credentials for it; nothing is asked of it yet. */
export async function openApiServer(source: ReviewSource): Promise<KubeEndpoint> {
  return source.kind === "url" ? makeFileEndpoint(source) : openKubeconfigEndpoint(source.file, source.context)
}
