import type { Seconds } from "../../core/time.ts"
import type { ClusterKeys, TokenReviewer } from "../../ports/kube.ts"

/**
 * A cluster whose service-account tokens are accepted. Trusting it means: whoever holds its signing keys can be any
 * workload that the rules give to this cluster.
 */
export interface ClusterTrust {
  readonly name: string
  /** `iss` of its tokens, compared as text. Clusters may share one; then the signature tells them apart. @see ATT-03 */
  readonly issuer: string
  /** Ours: a token must be for one or more of these and for nobody else. Never empty. @see ATT-05 */
  readonly audiences: readonly string[]
  readonly keys: ClusterKeys
  readonly review: ReviewPolicy
  /** True unless an operator accepts tokens that outlive the pod they were made for. */
  readonly requireBoundPod: boolean
  readonly requireBoundNode: boolean
}

/** Whether the cluster is asked about a token that verifies. */
export type ReviewPolicy =
  /** Never: a deleted pod keeps its identity until its token expires. */
  | { readonly mode: "off" }
  | {
      /** `bootstrap`: until the pod holds a live SVID. `always`: at each attestation, at most every 60 s for one token. */
      readonly mode: "bootstrap" | "always"
      readonly reviewer: TokenReviewer
      /** How long after it stopped answering pods with a live SVID may still renew; 0 for not at all. @see ATT-10 INV-17 */
      readonly degradedFor: Seconds
    }
