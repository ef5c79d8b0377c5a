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
  /** The old authority is stolen: out with it now. */
  | { readonly kind: "emergency"; readonly waiver: WaiverRequest }
  /** Something went wrong on the way. */
  | { readonly kind: "fault"; readonly reason: string }

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
  | "waiver-unsigned"
  | "waiver-too-long"
  /** Replicas and the passing of time are no one's to waive. */
  | "not-waivable"
  | "same-authority"
  /** The new authority lives less than six times as long as what it signs. */
  | "too-short-lived"

export type RotationOutcome =
  | { readonly kind: "moved"; readonly state: RotationState; readonly what: RotationChange }
  | { readonly kind: "refused"; readonly reason: RotationRefusal; readonly late: readonly LateParty[] }

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
