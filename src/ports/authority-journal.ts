import type { AuthorityRole } from "../core/authority/authority-roles.ts"
import type { ControllerLease } from "../core/authority/controller-lease.ts"
import type { JwtKeyAlgorithm } from "../core/authority/jwt-keys.ts"
import type { RotationKind, RotationState } from "../core/authority/rotation-state.ts"
import type { JwtAuthority } from "../core/spiffe/bundle.ts"
import type { TrustDomain } from "../core/spiffe/id.ts"
import type { Instant } from "../core/time.ts"

/** The state that must not fork: which authorities a trust domain has. Only public material and names of keys. */
export interface AuthorityRecord {
  readonly trustDomain: TrustDomain
  /** Random; new when the state is created or restored. @see INV-24 */
  readonly incarnation: string
  /** Compare-and-swap token, from 1. */
  readonly revision: number
  /** Grows with every change that consumers can see. */
  readonly epoch: number
  /** No SVID may reach its holder before a bundle of this epoch has. @see RINV-04 */
  readonly requiredEpoch: number
  /** Those whose role publishes them are what the bundle has. */
  readonly roots: readonly RootRecord[]
  /** The same of these. */
  readonly jwtKeys: readonly JwtKeyRecord[]
  readonly rotations: Readonly<Record<RotationKind, RotationState>>
  /**
   * Of the bundle of the last emergency of a kind, none of whose earlier authorities is in it. Absent: there was none. Whoever goes by an
   * earlier epoch may sign with what was stolen. @see ROT-76
   */
  readonly emergencyEpochs?: Readonly<Partial<Record<RotationKind, number>>>
  /** Who drives the rotations. */
  readonly controller: ControllerLease | undefined
  /** Absent: there are none. */
  readonly looseKeys?: Readonly<Partial<Record<RotationKind, LooseKeys>>>
  /** When this incarnation was made from a backup: what happened between that backup and then is not known. @see INV-24 */
  readonly restoredAt?: Instant
}

/** Names in the key store that no authority of the record has. @see ROT-67 */
export interface LooseKeys {
  /** Of an emergency that was declared and is not done: chosen before the key is made, so that a crash in between leaves nothing unknown. */
  readonly chosen?: string
  /** They may be there, and nothing is ever made of them: destroyed at the next emergency, and before a rotation ends. At most 16. */
  readonly left: readonly string[]
}

export interface RootRecord {
  readonly keyId: string
  /** DER. */
  readonly certificate: Uint8Array
  readonly notAfter: Instant
  readonly state: AuthorityRole
  /**
   * DER: the root before this one vouches for it, the one before that for the root before, and so on. For who trusts an earlier root
   * alone and has to recognise the server; never in a bundle, a workload's chain or a probe. @see ROT-70
   */
  readonly crossCertificates: readonly Uint8Array[]
}

export interface JwtKeyRecord extends JwtAuthority {
  readonly algorithm: JwtKeyAlgorithm
  readonly keyId: string
  /** @see JWKS-03 */
  readonly state: AuthorityRole
  /** When it entered this state. */
  readonly since: Instant
  /** When it stopped to sign; what was on its way then comes into the log a little later. Absent: it never did. @see JWKS-05 */
  readonly signedUntil?: Instant
}

/** An issuing authority of one process, written down before it signs for the first time. */
export interface IssuingRecord {
  /** Hex of its subject key identifier. */
  readonly authorityId: string
  readonly certificate: Uint8Array
  readonly rootKeyId: string
  readonly notAfter: Instant
}

/** All writes are durable when they resolve. An error from a write means "unknown": read again before you go on. @see INV-25 */
export interface AuthorityJournal {
  /** `undefined`: this store was never initialised. */
  read(): Promise<AuthorityRecord | undefined>
  /** @throws IdentityError `already-exists` */
  create(record: AuthorityRecord): Promise<void>
  /** Replace revision `record.revision - 1` by `record`. @throws IdentityError `conflict` when another one was first */
  replace(record: AuthorityRecord): Promise<void>
  adoptIssuing(issuing: IssuingRecord): Promise<void>
  /** @throws IdentityError `not-found` */
  readIssuing(authorityId: string): Promise<IssuingRecord>
}
