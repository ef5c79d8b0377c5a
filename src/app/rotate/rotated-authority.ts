import type { RotationKind, RotationState } from "../../core/authority/rotation-state.ts"
import type { Instant } from "../../core/time.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"

/** What the machine has to know of one kind of authority. Everything else is the same for all of them. */
export interface RotatedAuthority {
  readonly kind: RotationKind
  /** Some callers can be served by the new one before all others. */
  readonly hasCanaries: boolean
  /** The one that signs; `undefined`: none does. */
  signing(record: AuthorityRecord): string | undefined
  /** Who read authorities once, at its start, has to be started anew after a rotation that begins now. @see ROT-74 */
  needsRestarts(record: AuthorityRecord): boolean
  /** Of a new one in the key store: what its name is, or begins with. */
  keyId(tag: string): string
  /** Key, public part, and the record of both. After a crash, what was made then is used. @throws IdentityError `conflict` when it cannot take the place of the old one */
  make(plan: AuthorityPlan): Promise<MadeAuthority>
  /** Its authorities once the rotation is in `state`. @see ROT-01 */
  withRoles(record: AuthorityRecord, state: RotationState, now: Instant): AuthorityRecord
  /** In the key store, the keys of those that are out of the bundle for good. */
  removedKeyIds(record: AuthorityRecord): readonly string[]
  /** Every name in the key store that {@link make} may have given to a key of a plan with this `keyId`. */
  plannedKeyIds(keyId: string): readonly string[]
  /** Be ready to sign with whatever the record says now or after the next step. */
  follow(): Promise<void>
}

/** What a new authority is made by. */
export interface AuthorityPlan {
  /** Of the rotation, for the audit log. */
  readonly id: string
  /** The one that it is like. */
  readonly old: string
  readonly keyId: string
  /** Everything that exists counts as stolen: nothing of it signs anything for the new one. */
  readonly emergency: boolean
}

export interface MadeAuthority {
  readonly id: string
  /** `Infinity`: it does not expire by itself. */
  readonly notAfter: Instant
  readonly addTo: (record: AuthorityRecord) => AuthorityRecord
}
