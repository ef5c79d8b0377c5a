import type { Instant, Seconds } from "../time.ts"
import type { SafePoint } from "./late-party.ts"

/**
 * Where the rotation of one kind of authority stands. `planned`: decided, no key yet. `keyed`: the new authority is made and nobody
 * was told. `publishing`: it is in the bundle, acknowledgements come in. `published`: everybody trusts both. `canary`: it
 * signs for a few. `active`: it signs for all. `draining`: what the old one signed expires. `drained`: nothing of it is left.
 * `retiring`: it is out of the bundle. `retired`: nobody trusts it, its key may go. `unpublishing`: given up, the new one is
 * out of the bundle again.
 */
export type RotationPhase =
  | "stable"
  | "planned"
  | "keyed"
  | "publishing"
  | "published"
  | "canary"
  | "active"
  | "draining"
  | "drained"
  | "retiring"
  | "retired"
  | "unpublishing"

/** X.509 roots and JWT keys rotate apart from each other. */
export type RotationKind = "x509" | "jwt"

/** One rotation at most is under way for each kind. @see RINV-06 */
export type RotationState = { readonly phase: "stable" } | Planned | Rotating

export interface Planned extends Begun {
  readonly phase: "planned"
}

/** A new authority exists. */
export interface Rotating extends Begun {
  readonly phase: Exclude<RotationPhase, "stable" | "planned">
  /** The new authority: hex of its key identifier, or `kid`. */
  readonly next: string
  /** What leaves together with `old`: an emergency takes out everything of its kind that there was. At most 16; empty otherwise. */
  readonly others: readonly string[]
  /** What consumers must have acknowledged before the next step: the epoch of the newest bundle that this rotation made; 0 for none. */
  readonly epoch: number
  /** When that bundle was published. */
  readonly epochSince: Instant
}

interface Begun {
  /** Names the rotation in audit and replies. */
  readonly id: string
  /** The authority that is to be replaced. */
  readonly old: string
  /** In the key store, chosen before the key is made, so that a crash in between leaves nothing unknown. */
  readonly keyId: string
  readonly startedAt: Instant
  /** When it entered this phase. */
  readonly since: Instant
  /** Steps that need a decision are taken as soon as evidence allows. */
  readonly auto: boolean
  /** Why it is not automatic any more; `undefined` when somebody wanted it so. @see RINV-11 */
  readonly stopped: string | undefined
  readonly paused: boolean
  /** Since when it is paused or stopped; absent when it is neither. */
  readonly heldSince?: Instant
  /** For how long it was so in this phase, up to when it went on; absent for never. */
  readonly heldFor?: Seconds
  readonly emergency: boolean
  readonly canary: CanarySelection
  readonly waivers: readonly Waiver[]
}

/** Who gets SVIDs of the new authority first. Both empty: nobody, and the phase is left out. */
export interface CanarySelection {
  readonly namespaces: readonly string[]
  /** SPIFFE IDs that are equal to one of them, or below it. */
  readonly prefixes: readonly string[]
}

/** Who was not waited for at a safe point, and who answers for it. */
export interface Waiver {
  readonly point: SafePoint
  readonly by: string
  readonly reason: string
  readonly at: Instant
  /** At most 20,000; all of them where the point is waited for still. */
  readonly consumers: readonly string[]
  /** How many more were left behind at once, and are not named here; absent for none. */
  readonly unnamed?: number
}

export const STABLE: RotationState = { phase: "stable" }

export function hasCanary({ namespaces, prefixes }: CanarySelection): boolean {
  return namespaces.length + prefixes.length > 0
}
