import type { PublishedDocument } from "../core/oauth/publication.ts"

/** A place from which somebody else serves the documents of an issuer. Trusting it means: whoever writes there decides which keys count. */
export interface PublicationTarget {
  /** As the configuration names it; for log and metrics. */
  readonly name: string
  /**
   * Make it hold these documents; a reader sees each of them old or new, never in part. What is there already is not written.
   * @param issuer whose they are @throws IdentityError `already-exists` when another issuer's are there; `not-ready`,
   * `attestor-down` when it cannot be written
   */
  publish(
    documents: readonly PublishedDocument[],
    issuer: string,
    signal: AbortSignal,
  ): Promise<"written" | "unchanged">
}
