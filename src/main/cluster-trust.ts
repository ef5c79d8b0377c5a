import { makeJwsVerifier } from "../adapters/jose/verify-jws.ts"
import { type JwksSource, makeJwksKeys } from "../adapters/kube/jwks-keys.ts"
import { makeClusterJwksSource, makeFileJwksSource, makeUrlJwksSource } from "../adapters/kube/jwks-source.ts"
import { type KubeEndpoint, makeFileEndpoint } from "../adapters/kube/kube-endpoint.ts"
import { openKubeconfigEndpoint } from "../adapters/kube/kubeconfig-endpoint.ts"
import { makeTokenReviewer } from "../adapters/kube/token-review.ts"
import type { ClusterTrust, ReviewPolicy } from "../app/attest/cluster-trust.ts"
import type { Clock } from "../ports/clock.ts"
import type { ClusterKeySource, ReviewSource } from "./config/cluster-schema.ts"
import type { ClusterConfig } from "./config/server-config.ts"

export interface ClusterTrustDeps {
  readonly clock: Clock
  readonly onReadFailed: (cluster: string, error: unknown) => void
}

/** The trust that a configured cluster stands for. Nothing is asked of the cluster yet. */
export async function openClusterTrust(config: ClusterConfig, deps: ClusterTrustDeps): Promise<ClusterTrust> {
  return {
    name: config.name,
    issuer: config.issuer,
    audiences: config.audiences,
    keys: makeJwksKeys({
      source: await openKeySource(config.keys),
      verifier: makeJwsVerifier(),
      clock: deps.clock,
      onReadFailed: (error) => deps.onReadFailed(config.name, error),
    }),
    review: await openReview(config),
    requireBoundPod: config.requireBoundPod,
    requireBoundNode: config.requireBoundNode,
  }
}

async function openKeySource(source: ClusterKeySource): Promise<JwksSource> {
  switch (source.kind) {
    case "jwks-file":
      return makeFileJwksSource(source.file)
    case "jwks-url":
      return makeUrlJwksSource(makeFileEndpoint(source))
    case "kubeconfig":
      return makeClusterJwksSource(await openKubeconfigEndpoint(source.file, source.context))
  }
}

async function openReview({ tokenReview, degradedFor }: ClusterConfig): Promise<ReviewPolicy> {
  if (tokenReview.mode === "off") return { mode: "off" }
  const endpoint = await openEndpoint(tokenReview.source)
  return { mode: tokenReview.mode, reviewer: makeTokenReviewer(endpoint), degradedFor }
}

async function openEndpoint(source: ReviewSource): Promise<KubeEndpoint> {
  return source.kind === "url" ? makeFileEndpoint(source) : await openKubeconfigEndpoint(source.file, source.context)
}
