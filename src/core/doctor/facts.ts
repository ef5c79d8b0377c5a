import type { ApprovalReach } from "../admin/approval-reach.ts"
import type { Instant, Seconds } from "../time.ts"

/** A look at something: what was seen, or why it could not be. */
export type Look<Seen> = { readonly kind: "seen"; readonly seen: Seen } | FailedLook

export interface FailedLook {
  readonly kind: "failed"
  readonly why: string
  readonly next?: string | undefined
  /** It is there and does not tell who asks. Absent: nobody knows. */
  readonly refused?: true
  /** It is there for another user, and nothing is known of it. */
  readonly forbidden?: true
}

/** All that the checks of `assay doctor` judge. What is `undefined` was not there to be looked at. */
export interface DoctorFacts {
  readonly now: Instant
  /** `process.versions.node`, and the least that is supported. */
  readonly node: { readonly version: string; readonly least: string }
  /** `undefined`: none was named. Seen: its warnings. */
  readonly configuration: Look<readonly string[]> | undefined
  /** Of each verb that needs a second person by the configuration. */
  readonly approval: readonly ApprovalReach[]
  /** What its configuration says is on this machine. */
  readonly machine: MachineFacts | undefined
  readonly server: Look<ServerLook>
  /** Somebody said where it is, and means to have one there. */
  readonly serverNamed: boolean
}

export interface MachineFacts {
  /** Seen: where it is. */
  readonly sealingKey: Look<string>
  /** Files that others may read or write. */
  readonly exposed: readonly { readonly file: string; readonly mode: number }[]
  readonly store: Look<{ readonly writtenAt: Instant; readonly roots: readonly AuthorityLook[] }>
  readonly disk: Look<{ readonly folder: string; readonly freeBytes: number; readonly totalBytes: number }>
  /** `undefined`: a server makes it, and none runs. */
  readonly serving: Look<Lifetime> | undefined
  readonly sinks: readonly { readonly file: string; readonly look: Look<undefined> }[]
  readonly clusters: readonly {
    readonly name: string
    readonly what: "keys" | "TokenReview"
    readonly look: Look<undefined>
  }[]
  readonly addresses: readonly AddressLook[]
}

export interface AddressLook {
  /** Its key below `listen`. */
  readonly name: string
  readonly address: string
  /** Reachable from this machine alone. */
  readonly loopback: boolean
  readonly answers: boolean
}

export interface Lifetime {
  readonly notBefore: Instant
  readonly notAfter: Instant
}

export interface AuthorityLook extends Lifetime {
  readonly kind: "root" | "issuing"
  readonly id: string
  readonly state: string
}

/** What a running server says of itself. */
export interface ServerLook {
  readonly version: string
  readonly ready: boolean
  /** How far its clock is ahead of ours. */
  readonly clockAhead: Seconds
  readonly authorities: readonly AuthorityLook[]
  readonly subscribers: { readonly count: number; readonly behind: number; readonly refusing: number }
  /** Not everybody who may ask for the rest may see who is late. */
  readonly rotations: Look<readonly RotationLook[]>
  readonly federation: readonly FederatedLook[]
}

/** Another trust domain. */
export interface FederatedLook {
  readonly trustDomain: string
  readonly inForce: "file" | "kept" | "none"
  readonly stored: boolean
  /** What is wrong with its file. */
  readonly trouble: string | undefined
}

export interface RotationLook {
  readonly kind: string
  readonly phase: string
  /** `undefined`: nothing is under way. */
  readonly since: Instant | undefined
  readonly paused: boolean
  readonly stopped: string | undefined
  /** The next phase, when it is taken only once somebody wants it. */
  readonly decision: string | undefined
  readonly late: number
  /** When the wait ends by itself at the latest; `undefined`: it does not, or nobody is late. */
  readonly until: Instant | undefined
}
