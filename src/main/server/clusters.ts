import { type JwksSource, makeJwksKeys } from "../../adapters/kube/jwks-keys.ts"
import { makeClusterJwksSource, makeFileJwksSource, makeUrlJwksSource } from "../../adapters/kube/jwks-source.ts"
import { type KubeEndpoint, makeFileEndpoint } from "../../adapters/kube/kube-endpoint.ts"
import { openKubeconfigEndpoint } from "../../adapters/kube/kubeconfig-endpoint.ts"
import { makeTokenReviewer } from "../../adapters/kube/token-review.ts"
import type { ClusterTrust, ReviewPolicy } from "../../app/attest/cluster-trust.ts"
import type { Clock } from "../../ports/clock.ts"
import type { JwsVerifier } from "../../ports/jws.ts"
import type { Log } from "../../ports/telemetry.ts"
import type { ClusterKeySource, ReviewSource } from "../config/cluster-schema.ts"
import type { ClusterConfig } from "../config/server-config.ts"

export interface ClusterDeps {
  readonly verifier: JwsVerifier
  readonly clock: Clock
  readonly log: Log
}

/** The configured clusters, ready to attest by. A new array each time; nothing is asked of the clusters yet. */
export function openClusters(configs: readonly ClusterConfig[], deps: ClusterDeps): Promise<readonly ClusterTrust[]> {
  return Promise.all(configs.map((config) => openCluster(config, deps)))
}

async function openCluster(config: ClusterConfig, { verifier, clock, log }: ClusterDeps): Promise<ClusterTrust> {
  return {
    name: config.name,
    issuer: config.issuer,
    audiences: config.audiences,
    keys: makeJwksKeys({
      source: await openKeySource(config.keys),
      verifier,
      clock,
      onReadFailed: (err) => log.warn({ cluster: config.name, err }, "the cluster's token keys cannot be read"),
    }),
    review: await openReview(config),
    requireBoundPod: config.requireBoundPod,
    requireBoundNode: config.requireBoundNode,
  }
}

/** Where keys are read from; nothing is read yet. */
export async function openKeySource(source: ClusterKeySource): Promise<JwksSource> {
  switch (source.kind) {
    case "jwks-file":
      return makeFileJwksSource(source.file)
    case "jwks-url":
      return makeUrlJwksSource(makeFileEndpoint(source))
    case "kubeconfig":
      return makeClusterJwksSource(await openKubeconfigEndpoint(source.file, source.context))
    default:
      return source satisfies never
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
