import type { SpiffeId } from "../spiffe/id.ts"
import type { Instant } from "../time.ts"

/** Who holds certificates and bundles, as the platform vouched for it: one pod, or the holder of one token. */
export interface Holder {
  readonly cluster: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly pod: string
  readonly podUid: string
  readonly node: string
  /** SHA-256 of the token in hex, when it names no pod; else empty. Two holders of one account cannot vouch for each other. */
  readonly proof: string
}

/** What one holder was given for one identity, as far as it has not expired. */
export interface Held {
  readonly holder: Holder
  readonly spiffeId: SpiffeId
  /** The roots that it chains to, by the name of their key, and when the last that chains to each expires. */
  readonly roots: readonly { readonly keyId: string; readonly notAfter: Instant }[]
  /** When the last of it expires. */
  readonly notAfter: Instant
  /** When it was given something last. */
  readonly lastIssued: Instant
}

type Requester = Omit<Holder, "proof"> & { readonly evidenceDigest: Uint8Array }

export function holderOf(requester: Requester): Holder {
  const { cluster, namespace, serviceAccount, pod, podUid, node, evidenceDigest } = requester
  const proof = podUid === "" ? Buffer.from(evidenceDigest).toString("hex") : ""
  return { cluster, namespace, serviceAccount, pod, podUid, node, proof }
}

/** Equal for equal holders, over restarts of everybody. A pod that is made anew under its old name is another holder. */
export function holderKey({ cluster, namespace, serviceAccount, podUid, proof }: Holder): string {
  return podUid === "" ? `${cluster}/${namespace}/${serviceAccount}/${proof}` : `${cluster}/${podUid}`
}
