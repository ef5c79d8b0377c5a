import type { AuditEvent } from "../../core/audit/event.ts"
import { entryOf } from "../../core/audit/record.ts"
import type {
  RotationCommand,
  RotationOutcome,
  StepContext,
  WaiverRequest,
} from "../../core/authority/rotation-command.ts"
import type { RotationKind, RotationState, Waiver } from "../../core/authority/rotation-state.ts"
import { stepRotation } from "../../core/authority/rotation-step.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import type { Asking, StepDeps } from "./rotate-deps.ts"
import type { MadeAuthority } from "./rotated-authority.ts"
import { refuseStale, rotationOver } from "./rotation-over.ts"
import { recordAfter } from "./rotation-record.ts"

/**
 * Decide a step of a rotation over what is known now, and write it over the very revision that it was decided over; decided
 * anew, at most {@link MAX_ATTEMPTS} times, when somebody else was first. Audited before it is written, and not
 * anew where the rotation stands as it did and the same was decided. @see ROT-31
 * @param made the new authority, that `keyed` or `emergency` is about
 * @throws IdentityError `not-ready` when evidence or store cannot be reached, `conflict`
 */
export async function takeStep(
  deps: StepDeps,
  wanted: RotationCommand | ((record: AuthorityRecord) => RotationCommand),
  asking: Asking,
  made?: MadeAuthority,
): Promise<RotationOutcome> {
  let audited: string | undefined
  for (let attempt = 0; ; attempt++) {
    const record = deps.trust.record()
    const context = await contextOf(deps, record)
    refuseStale(deps, record, asking)
    const command = typeof wanted === "function" ? wanted(record) : wanted
    const outcome = stepRotation(record.rotations[deps.authority.kind], command, context)
    if (outcome.kind === "refused") return outcome
    const event = auditOf(record, deps.authority.kind, outcome, command, asking, context)
    const change = `${rotationOver(deps, record)} ${entryOf(event).data}`
    if (change !== audited) await deps.audit.append(event)
    audited = change
    try {
      await deps.trust.update((current) => {
        refuseOtherRevision(current, record)
        return recordAfter(current, deps.authority, outcome.state, context.now, made)
      })
      return outcome
    } catch (thrown) {
      if (toIdentityError(thrown).code !== "conflict" || attempt + 1 >= MAX_ATTEMPTS) throw thrown
    }
  }
}

export async function contextOf(deps: StepDeps, record: AuthorityRecord): Promise<StepContext> {
  const evidence = await deps.evidence()
  return { now: deps.clock.now(), epoch: record.epoch, evidence, terms: deps.terms() }
}

/** @throws IdentityError `conflict` @see RINV-06 */
function refuseOtherRevision(current: AuthorityRecord, decidedOver: AuthorityRecord): void {
  if (current.revision !== decidedOver.revision) {
    throw new IdentityError("conflict", "the authorities were changed by somebody else at the same time; try again")
  }
}

function auditOf(
  { rotations }: AuthorityRecord,
  kind: RotationKind,
  { state, what }: RotationOutcome & { readonly kind: "moved" },
  command: RotationCommand,
  { actor, requestId }: Asking,
  { now, epoch }: StepContext,
): AuditEvent {
  const before = rotations[kind]
  const named = state.phase === "stable" ? before : state
  const waivers = waiversOf(before, state)
  const waived = [...new Set(waivers.flatMap(({ consumers }) => consumers))]
  return {
    type: "rotation.changed",
    at: now,
    actor,
    requestId,
    kind,
    rotation: named.phase === "stable" ? "" : named.id,
    change: what,
    from: before.phase,
    to: state.phase,
    old: named.phase === "stable" ? "" : named.old,
    next: "next" in named ? named.next : "",
    others: "next" in named ? named.others : [],
    epoch: "epoch" in state ? Math.max(epoch, state.epoch) : epoch,
    reason: "waiver" in command && command.waiver !== undefined ? waiverReason(command.waiver) : stoppedBy(state),
    waived: waived.slice(0, MAX_AUDITED),
    // The waivers of one step are of the same consumers, where they are not all named.
    waivedCount: waived.length + Math.max(0, ...waivers.map(({ unnamed = 0 }) => unnamed)),
  }
}

function waiversOf(before: RotationState, after: RotationState): readonly Waiver[] {
  if (after.phase === "stable") return []
  const known = new Set(before.phase === "stable" ? [] : before.waivers)
  return after.waivers.filter((waiver) => !known.has(waiver))
}

function waiverReason({ by, reason }: WaiverRequest): string {
  return `${by}: ${reason}`.slice(0, MAX_REASON)
}

function stoppedBy(state: RotationState): string {
  return state.phase === "stable" ? "" : (state.stopped ?? "")
}

const MAX_ATTEMPTS = 5
const MAX_AUDITED = 1000
const MAX_REASON = 1024
