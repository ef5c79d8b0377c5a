import type { LateParty, SafePoint } from "./late-party.ts"
import type { RotationOutcome, RotationRefusal, StepContext, WaiverRequest } from "./rotation-command.ts"
import { gateOf } from "./rotation-gate.ts"
import type { Rotating, RotationPhase, Waiver } from "./rotation-state.ts"
import { lateForBundle, lateForExpiry } from "./safe-points.ts"

/** Leave out some of those who are waited for now. The phase stays; the next step may then be possible. @see ROT-08 */
export function waiveStep(state: Rotating, request: WaiverRequest, context: StepContext): RotationOutcome {
  const { point, late } = gateOf(state, context)
  const chosen = choose(late, request)
  if ("refusal" in chosen) return { kind: "refused", reason: chosen.refusal, late }
  if (point === undefined) return { kind: "refused", reason: "waiver-names-nobody", late }
  const waivers = [...state.waivers, ...waiversFor(chosen.late, point, request, context)]
  if (waivers.length > MAX_WAIVERS) return { kind: "refused", reason: "waiver-too-long", late }
  return { kind: "moved", state: { ...state, waivers }, what: "waive" }
}

/**
 * The old authority leaves the bundle and the new one signs, both at once and for everybody. Who is late for SP1 or SP2 loses its
 * trust until it has caught up, so the waiver must name each of them. @see ROT-09 TM-04
 */
export function emergencyStep(state: Rotating, request: WaiverRequest, context: StepContext): RotationOutcome {
  if (!BEFORE_RETIRING.includes(state.phase)) return { kind: "refused", reason: "wrong-phase", late: [] }
  const late = lateForEmergency(state, context)
  const named = request.consumers === "all" ? late : late.filter(({ id }) => request.consumers.includes(id))
  const refusal = signatureRefusal(request, named) ?? (named.length < late.length ? "waiver-incomplete" : undefined)
  if (refusal !== undefined) return { kind: "refused", reason: refusal, late }
  const waivers = [...state.waivers, waiverOf(named, "sp1", request, context), waiverOf(named, "sp2", request, context)]
  const { now, epoch } = context
  const fresh = { phase: "retiring", since: now, epoch: epoch + 1, epochSince: now } as const
  return {
    kind: "moved",
    what: "emergency",
    state: { ...state, ...fresh, waivers, emergency: true, auto: false, paused: false },
  }
}

/**
 * The rotation with a waiver of everybody who is late for `point`, for a step that leaves them behind at once; or why not: the waiver
 * must name each of them, and replicas are no one's to waive. @see ROT-48
 */
export function waiveAll(
  state: Rotating,
  late: readonly LateParty[],
  point: SafePoint,
  request: WaiverRequest,
  context: StepContext,
): Rotating | RotationRefusal {
  const { consumers } = request
  if (!late.every(isWaivable)) return "not-waivable"
  if (consumers !== "all" && !late.every(({ id }) => consumers.includes(id))) return "waiver-incomplete"
  const refusal =
    signatureRefusal(request, late) ?? (state.waivers.length >= MAX_WAIVERS ? "waiver-too-long" : undefined)
  return refusal ?? { ...state, waivers: [...state.waivers, waiverOf(late, point, request, context)] }
}

/** Everybody who cannot go on without a new SVID or a new bundle: the blast radius. */
export function lateForEmergency(state: Rotating, context: StepContext): readonly LateParty[] {
  const late = [...lateForExpiry(state.old, context), ...lateForBundle(Number.MAX_SAFE_INTEGER, context.now, context)]
  const consumers = late.filter(({ kind }) => kind === "consumer")
  return [...new Map(consumers.map((party) => [party.id, party])).values()]
}

type Chosen = { readonly late: readonly LateParty[] } | { readonly refusal: RotationRefusal }

function choose(late: readonly LateParty[], request: WaiverRequest): Chosen {
  const { consumers } = request
  const named = consumers === "all" ? late.filter(isWaivable) : late.filter(({ id }) => consumers.includes(id))
  if (named.length === 0) return { refusal: "waiver-names-nobody" }
  if (!named.every(isWaivable)) return { refusal: "not-waivable" }
  const refusal = signatureRefusal(request, named)
  return refusal === undefined ? { late: named } : { refusal }
}

/** A replica that lives would go on to serve and sign the old way. */
function isWaivable({ kind }: LateParty): boolean {
  return kind !== "replica"
}

function signatureRefusal({ by, reason }: WaiverRequest, named: readonly LateParty[]): RotationRefusal | undefined {
  if (by === "" || reason === "") return "waiver-unsigned"
  return named.length > MAX_WAIVED ? "waiver-too-long" : undefined
}

/** The soak of a canary is a point of its own. */
function waiversFor(
  late: readonly LateParty[],
  point: SafePoint,
  request: WaiverRequest,
  context: StepContext,
): readonly Waiver[] {
  const soaking = late.filter(({ reason }) => reason === "soaking")
  const others = late.filter(({ reason }) => reason !== "soaking")
  return [
    ...(others.length > 0 ? [waiverOf(others, point, request, context)] : []),
    ...(soaking.length > 0 ? [waiverOf(soaking, "canary", request, context)] : []),
  ]
}

function waiverOf(
  late: readonly LateParty[],
  point: SafePoint,
  { by, reason }: WaiverRequest,
  { now }: StepContext,
): Waiver {
  return { point, by, reason: reason.slice(0, MAX_REASON), at: now, consumers: late.map(({ id }) => id) }
}

const BEFORE_RETIRING: readonly RotationPhase[] = [
  "keyed",
  "publishing",
  "published",
  "canary",
  "active",
  "draining",
  "drained",
]
const MAX_WAIVED = 20_000
const MAX_WAIVERS = 64
const MAX_REASON = 1024
