import type { ConsumerRow } from "../core/authority/evidence.ts"
import type { Held, Holder } from "../core/authority/holder.ts"
import type { BanTarget } from "../core/ban/ban.ts"
import type { Instant } from "../core/time.ts"

/**
 * What is remembered of one consumer over restarts: who it is, and until when it has something that can fail. What it
 * acknowledged is not, since only a live stream says that. @see INV-27
 */
export interface ConsumerRecord {
  /** Stable over reconnects and restarts. */
  readonly id: string
  readonly holder: Holder
  /** What it calls itself, among the consumers of its holder. At most 253 bytes. */
  readonly name: string
  readonly kind: ConsumerRow["kind"]
  /** Why it refused the newest bundle, when it last said so. */
  readonly nackReason: string | undefined
  /** When the last of what it had been given, as far as known when this was written, expires. */
  readonly notAfter: Instant
  readonly lastContact: Instant
  /** When its last stream ended; `undefined`: one was open when this was written. */
  readonly leftAt: Instant | undefined
}

/** Consumers by id. Whoever writes bounds how many there are. Trusting it means: who is not in it and holds no certificate is not waited for. */
export interface ConsumerLog {
  /**
   * Replace what stands under each id, and forget the removed ones, in one commit; durable when it resolves. At most 1000 of
   * both. Doing it twice is doing it once. @throws IdentityError `not-ready`, `rate-limited`
   */
  write(records: readonly ConsumerRecord[], removed: readonly string[]): Promise<void>
  /** Up to `limit` (1 to 10,000) records whose id follows `after`, in the order of ids. */
  readAfter(after: string, limit: number): Promise<readonly ConsumerRecord[]>
}

/** Sums over the issuance log. An intent without outcome counts as issued. */
export interface HoldingsReader {
  /** @throws IdentityError `not-ready` when the store cannot read, or has more than 200,000 holders; `rate-limited` */
  readHoldings(now: Instant): Promise<Holdings>
}

/** How many somebody's ban is about. */
export interface HolderCounter {
  /** Of those that {@link HoldingsReader.readHoldings} names; not for a key. @throws IdentityError as that */
  countHolders(target: BanTarget, now: Instant): Promise<HolderCount>
}

/** Who holds certificates that have not expired, which a ban does not take away from whoever does not listen. */
export interface HolderCount {
  readonly holders: number
  /** When the last of those certificates expires; `undefined`: there are none. */
  readonly lastExpiry: Instant | undefined
}

/** Who holds which key, by the issuance log. An intent without outcome counts as issued. */
export interface KeyHolderReader {
  /**
   * Who was given a certificate for one of these keys that expires after `now`, also who was given another since. It looks at every
   * certificate that has not expired, so it is for what people order. @param keys as bans name them, 10,000 at most
   * @throws IdentityError as {@link HoldingsReader.readHoldings}
   */
  readKeyHolders(keys: readonly string[], now: Instant): Promise<readonly KeyHolder[]>
}

/** Who is to be trusted as somebody who renews. */
export interface CertificateReader {
  /**
   * Whether the pod was given a certificate that expires after `now`. Of each of its identities the newest 10,000 issuances are looked
   * at: whoever had so many tokens since its last certificate counts as one that has none. @throws IdentityError as {@link HoldingsReader.readHoldings}
   */
  holdsCertificate(pod: PodOfCluster, now: Instant): Promise<boolean>
}

export interface PodOfCluster {
  readonly cluster: string
  readonly namespace: string
  readonly pod: string
  readonly podUid: string
}

/** One for each key, holder and identity. */
export interface KeyHolder extends Pick<Held, "holder" | "spiffeId" | "notAfter"> {
  readonly key: string
}

export interface Holdings {
  /** One for each holder and identity that has an X.509-SVID which expires after `now`. */
  readonly held: readonly Held[]
  /** For each `kid` that signed what expires after `now`: when the last of that does. */
  readonly lastTokens: ReadonlyMap<string, Instant>
}

/** Most records in one {@link ConsumerLog.write}. */
export const MAX_CONSUMER_WRITE = 1000
