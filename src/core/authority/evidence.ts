import type { SpiffeId } from "../spiffe/id.ts"
import type { Instant } from "../time.ts"

/**
 * How it is known which bundle a consumer trusts, strongest first: it applied it and said so over SDS; its agent or SDK
 * acknowledged it; it completed a handshake that needs it; it quoted the epoch when it renewed; nothing but that what it
 * holds will end. @see EV-1 EV-2 EV-4 EV-3 EV-6
 */
export type EvidenceGrade = "sds-ack" | "subscription-ack" | "trust-probe" | "quoted-epoch" | "lease"

/** One holder of an unexpired SVID, or one consumer of a bundle, and what is known of it. */
export interface ConsumerRow {
  /** Stable over reconnects and restarts. */
  readonly id: string
  /** `undefined`: it only verifies. */
  readonly spiffeId: SpiffeId | undefined
  readonly cluster: string
  readonly namespace: string
  readonly pod: string
  readonly node: string
  readonly kind: "sds" | "workload-api" | "file" | "agent"
  readonly grade: EvidenceGrade
  /** A stream of it is open now. Its acknowledgements count only as long as that is so. @see INV-27 */
  readonly live: boolean
  /** What its live stream acknowledged last, never a maximum; 0 for nothing. */
  readonly epoch: number
  /** Why it refused the newest bundle; `undefined` when it did not. */
  readonly nackReason: string | undefined
  /** Key identifiers, in hex, of the roots that the unexpired certificates it was given chain to. */
  readonly issuers: readonly string[]
  /** When the last of what it holds expires; after that it cannot fail. */
  readonly notAfter: Instant
  readonly lastContact: Instant
}

/** A server process. Those whose lease is over sign nothing and serve no bundle. @see INV-29 */
export interface ReplicaRow {
  readonly id: string
  /** Of the snapshot that it serves. */
  readonly epoch: number
  /** Key identifier of the root that its issuing authority chains to, in hex; for JWT rotations, the `kid` it signs with. */
  readonly signsWith: string
  readonly leaseUntil: Instant
}

/** What a rotation may rely on for its next step. */
export interface RotationEvidence {
  readonly consumers: readonly ConsumerRow[]
  readonly replicas: readonly ReplicaRow[]
  /** For each authority that signed what has not expired: when the last of that does. By root key identifier, or `kid`. */
  readonly lastExpiry: ReadonlyMap<string, Instant>
}
