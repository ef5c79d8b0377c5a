import { type LateParty, type LateReason, lateUntil, type SafePoint } from "../../core/authority/late-party.ts"
import type { StepContext, WaiverRequest } from "../../core/authority/rotation-command.ts"
import { lateForEmergency, leavingNow } from "../../core/authority/rotation-emergency.ts"
import { gateOf, lateForAbort } from "../../core/authority/rotation-gate.ts"
import type { RotationPhase, RotationState, Waiver } from "../../core/authority/rotation-state.ts"
import { strangersOf } from "../../core/authority/rotation-waiver.ts"
import { lateForTrust } from "../../core/authority/safe-points.ts"
import type { Instant } from "../../core/time.ts"
import type { StepDeps } from "./rotate-deps.ts"
import { rotationOver } from "./rotation-over.ts"
import { signingNow } from "./signing-now.ts"
import { contextOf } from "./take-step.ts"

/** Where a rotation stands, and who is waited for. */
export interface RotationFacts {
  readonly now: Instant
  readonly state: RotationState
  /** The way forward; `undefined` when nothing is under way, or only the key is missing. */
  readonly next: RotationNext | undefined
  /** Whom an abort would wait for. */
  readonly abort: readonly LateParty[]
  readonly waivers: readonly Waiver[]
  /** Of consumers that are known now. */
  readonly consumers: number
}

export interface RotationNext {
  readonly to: RotationPhase
  /** An operator must want it. */
  readonly decision: boolean
  readonly point: SafePoint | undefined
  readonly late: readonly LateParty[]
  /** When nobody is late any more at the latest; `undefined` when that cannot be said. */
  readonly until: Instant | undefined
}

/** What a rotation that began now would wait for. Nothing is changed. */
export interface RotationForecast {
  readonly now: Instant
  /** The authority that would be replaced. */
  readonly old: string
  /** Holders of something unexpired by namespace. */
  readonly namespaces: readonly {
    readonly namespace: string
    readonly holders: number
    readonly neverAcknowledge: number
  }[]
  /** Who can prove nothing, so that only the end of what it holds does. */
  readonly silent: readonly LateParty[]
  /** When everybody could trust a new one at the latest, and when nothing of the old one were left. */
  readonly trustedBy: Instant | undefined
  readonly drainedBy: Instant | undefined
  /** Who reads authorities once, at its start, has to be started anew. @see ROT-74 */
  readonly needsRestarts: boolean
}

export interface DescribeRotation {
  /** @throws IdentityError `not-ready` when evidence cannot be read */
  status(): Promise<RotationFacts>
  /** @throws IdentityError as {@link status} */
  plan(): Promise<RotationForecast>
  /** Whom an emergency that was declared now would leave behind. @throws IdentityError as {@link status} */
  emergency(): Promise<readonly LateParty[]>
  /** Which of these names a waiver could not have. @throws IdentityError as {@link status} @see ROT-08 */
  strangers(consumers: WaiverRequest["consumers"]): Promise<readonly string[]>
  /** {@link rotationOver} of now. */
  over(): string
}

export function makeDescribeRotation(deps: StepDeps): DescribeRotation {
  return {
    over: () => rotationOver(deps, deps.trust.record()),
    status: async () => {
      const record = deps.trust.record()
      const state = record.rotations[deps.authority.kind]
      const context = await contextOf(deps, record)
      return {
        now: context.now,
        state,
        next: nextOf(state, context),
        abort: state.phase === "stable" || state.phase === "planned" ? [] : lateForAbort(state, context),
        waivers: state.phase === "stable" ? [] : state.waivers,
        consumers: context.evidence.consumers.length,
      }
    },
    plan: async () => {
      const record = deps.trust.record()
      const old = signingNow(deps.authority, record)
      return { ...forecast(old, await contextOf(deps, record)), needsRestarts: deps.authority.needsRestarts(record) }
    },
    emergency: async () => {
      const record = deps.trust.record()
      const leaving = leavingNow(record.rotations[deps.authority.kind], signingNow(deps.authority, record))
      return lateForEmergency(leaving, await contextOf(deps, record))
    },
    strangers: async (consumers) => {
      const record = deps.trust.record()
      const context = await contextOf(deps, record)
      const late = nextOf(record.rotations[deps.authority.kind], context)?.late ?? []
      return strangersOf({ consumers }, late, context)
    },
  }
}

function nextOf(state: RotationState, context: StepContext): RotationNext | undefined {
  if (state.phase === "stable" || state.phase === "planned") return undefined
  const gate = gateOf(state, context)
  return { ...gate, until: lateUntil(gate.late) }
}

function forecast(old: string, context: StepContext): Omit<RotationForecast, "needsRestarts"> {
  const { now, evidence } = context
  // Nobody has a bundle of an epoch that was never made: who is late for it is everybody who will be asked.
  const all = lateForTrust(Number.MAX_SAFE_INTEGER, now, context)
  const silent = all.filter(({ reason }) => SILENT.includes(reason))
  const holders = evidence.consumers.filter(({ spiffeId }) => spiffeId !== undefined)
  const trustedBy = silent.length === 0 ? now : lateUntil(silent)
  const mute = new Set(silent.map(({ id }) => id))
  return {
    now,
    old,
    namespaces: [...Map.groupBy(holders, ({ namespace }) => namespace)]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([namespace, here]) => {
        return { namespace, holders: here.length, neverAcknowledge: here.filter(({ id }) => mute.has(id)).length }
      }),
    silent,
    trustedBy,
    // What the old one signs at the very end lives longest.
    drainedBy: trustedBy === undefined ? undefined : trustedBy + context.terms.maxSvidTtl + context.terms.skew,
  }
}

const SILENT: readonly LateReason[] = ["never-acknowledges", "disconnected", "unseen-readers"]
