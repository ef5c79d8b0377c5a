import type { IdentityError } from "../../core/errors.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Instant, Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { ClusterTrust } from "./cluster-trust.ts"

/** What was found out about a token. */
export type Finding =
  | { readonly kind: "attested"; readonly attested: Attested }
  | { readonly kind: "refused"; readonly error: IdentityError }

/** Findings by token digest: bounded, least recently used out first, all dropped when the clusters change. @see ATT-13 ATT-14 */
export class AttestedCache {
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  #clusters: readonly ClusterTrust[] = []
  #newest: Entry | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A finding made with these very `clusters` that is still fresh; a token that expired meanwhile is not found. */
  find(digest: string, clusters: readonly ClusterTrust[]): Finding | undefined {
    this.#adopt(clusters)
    const entry = this.#entries.get(digest)
    if (entry === undefined) return undefined
    const isOver = this.#clock.monotonic() >= entry.staleAt || this.#clock.now() >= entry.expiresAt
    if (isOver || entry !== this.#newest) this.#entries.delete(digest)
    if (isOver) return undefined
    if (entry !== this.#newest) this.#put(digest, entry)
    return entry.finding
  }

  /** Remember a finding for `life` from `since` (monotonic), unless the clusters changed while it was made. */
  keep(digest: string, clusters: readonly ClusterTrust[], finding: Finding, since: Millis, life: Millis): void {
    if (clusters !== this.#clusters) return
    const expiresAt = finding.kind === "attested" ? finding.attested.claims.expiresAt : Number.POSITIVE_INFINITY
    this.#entries.delete(digest)
    this.#put(digest, { finding, staleAt: since + life, expiresAt })
    if (this.#entries.size <= MAX_ENTRIES) return
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#entries.delete(oldest)
  }

  #put(digest: string, entry: Entry): void {
    this.#entries.set(digest, entry)
    this.#newest = entry
  }

  #adopt(clusters: readonly ClusterTrust[]): void {
    if (clusters === this.#clusters) return
    this.#clusters = clusters
    this.#entries.clear()
    this.#newest = undefined
  }
}

interface Entry {
  readonly finding: Finding
  readonly staleAt: Millis
  readonly expiresAt: Instant
}

/** About 1 KB each. */
const MAX_ENTRIES = 16_384
