import type { Instant } from "../time.ts"
import type { LateParty } from "./late-party.ts"
import type { CanarySelection, RotationState } from "./rotation-state.ts"
import type { PointQuestion } from "./safe-points.ts"

/** What somebody wants of a rotation. */
export type RotationCommand =
  | {
      readonly kind: "start"
      readonly id: string
      readonly old: string
      readonly keyId: string
      readonly auto: boolean
      readonly canary: CanarySelection
    }
  /** The new authority was made. */
  | { readonly kind: "keyed"; readonly next: string; readonly notAfter: Instant }
  /** An operator wants the next phase. */
  | { readonly kind: "advance" }
  /** The next phase, if it needs no decision, or decisions are automatic. */
  | { readonly kind: "tick" }
  | { readonly kind: "pause" }
  | { readonly kind: "resume"; readonly auto: boolean }
  /** The old authority signs again; both stay trusted. */
  | { readonly kind: "rollback" }
  /** Take the new authority out again. With a waiver, also while something that it signed is alive: its holders lose their trust. */
  | { readonly kind: "abort"; readonly waiver?: WaiverRequest }
  /** Do not wait for these at the point that is waited for now. */
  | { readonly kind: "waive"; readonly waiver: WaiverRequest }
  /** Everything of this kind that there is counts as stolen: out with it now, and a fresh one signs. @see ROT-66 */
  | {
      readonly kind: "emergency"
      /** Of the rotation, when none is under way. */
      readonly id: string
      /** What signs until now, by the record. */
      readonly old: string
      /** Made for this and nothing else. */
      readonly fresh: FreshAuthority
      readonly waiver: WaiverRequest
      /** Also when an emergency is under way: what that one made is stolen, too. */
      readonly again: boolean
    }
  /** Something went wrong on the way. */
  | { readonly kind: "fault"; readonly reason: string }

export interface FreshAuthority {
  readonly next: string
  readonly keyId: string
  readonly notAfter: Instant
}

export interface WaiverRequest {
  readonly by: string
  readonly reason: string
  /** Ids of late parties; `all`: whoever is late when this is decided. */
  readonly consumers: readonly string[] | "all"
}

export interface StepContext extends PointQuestion {
  /** Of the record that this is decided over. */
  readonly epoch: number
}

export type RotationRefusal =
  | "nothing-under-way"
  | "already-under-way"
  /** Not a step that can be taken from this phase. */
  | "wrong-phase"
  | "paused"
  /** The next phase needs somebody's decision. */
  | "needs-decision"
  | "late"
  /** Somebody is late whom the waiver does not name. */
  | "waiver-incomplete"
  | "waiver-names-nobody"
  /** A name of the waiver is nobody's: most likely a slip. */
  | "waiver-names-strangers"
  | "waiver-unsigned"
  | "waiver-too-long"
  /** Replicas and the passing of time are no one's to waive. */
  | "not-waivable"
  | "same-authority"
  /** The new authority lives less than six times as long as what it signs. */
  | "too-short-lived"
  /** One was declared and has not ended; what it made may be as good as new. */
  | "emergency-under-way"
  /** So many emergencies were declared in a row that this rotation has to end first. */
  | "too-many-leave"

export type RotationOutcome =
  | { readonly kind: "moved"; readonly state: RotationState; readonly what: RotationChange }
  | RefusedStep

export interface RefusedStep {
  readonly kind: "refused"
  readonly reason: RotationRefusal
  readonly late: readonly LateParty[]
  /** Names that nobody has; of `waiver-names-strangers` alone. */
  readonly strangers?: readonly string[]
}

/** What a move did, for the audit log. */
export type RotationChange =
  | "start"
  | "key"
  | "advance"
  | "pause"
  | "resume"
  | "rollback"
  | "abort"
  | "waive"
  | "emergency"
  | "stop"
