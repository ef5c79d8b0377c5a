import type { Instant } from "../time.ts"
import type { EvidenceGrade } from "./evidence.ts"

/**
 * `sp1`: everybody trusts the new authority. `sp2`: nothing that the old one signed is alive. `sp3`: nobody trusts the old one.
 * `canary`, `signing` and `unused` are the lesser gates: the canary ran long enough; every replica signs with the new one; nothing
 * that the new one signed is alive.
 */
export type SafePoint = "sp1" | "sp2" | "sp3" | "canary" | "signing" | "unused"

export type LateReason =
  /** Its stream is open, and it has not answered yet. */
  | "not-acknowledged"
  /** It refused the bundle. */
  | "nack"
  /** No stream of it is open, and what it holds is still good. */
  | "disconnected"
  /** Nothing it does proves what it trusts: only the end of what it holds does. */
  | "never-acknowledges"
  /** It holds a certificate of the authority that is to go. */
  | "holds-other"
  /** Something is alive that was signed by the authority that is to go, whoever holds it. */
  | "unexpired"
  | "replica-behind"
  | "replica-signs-other"
  /** Readers that nobody can see: federated peers, JWKS caches, ConfigMaps. */
  | "unseen-readers"
  | "soaking"

/** Somebody or something that a safe point waits for. */
export interface LateParty {
  /** Of the consumer or replica, or a name of {@link UNSEEN}. */
  readonly id: string
  readonly kind: "consumer" | "replica" | "time"
  readonly reason: LateReason
  /** Why a consumer refused; empty otherwise. */
  readonly detail: string
  readonly spiffeId: string
  readonly namespace: string
  readonly node: string
  readonly grade: EvidenceGrade | undefined
  /** When the wait ends by itself at the latest; `undefined` when it does not. */
  readonly until: Instant | undefined
}

/** Ids of parties that have no row. */
export const UNSEEN = { holders: "unseen-holders", readers: "unseen-readers", canary: "canary" } as const

/** When nobody is late any more if nothing else happens; `undefined` when that cannot be said. 0 when nobody is. */
export function lateUntil(late: readonly LateParty[]): Instant | undefined {
  const ends = late.map(({ until }) => until)
  return ends.reduce((latest: Instant | undefined, end) => {
    return latest === undefined || end === undefined ? undefined : Math.max(latest, end)
  }, 0)
}
