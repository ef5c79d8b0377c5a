import { type LateParty, type SafePoint, UNSEEN } from "./late-party.ts"
import type { RotationOutcome, RotationRefusal, StepContext, WaiverRequest } from "./rotation-command.ts"
import { gateOf } from "./rotation-gate.ts"
import type { Rotating, Waiver } from "./rotation-state.ts"

/** Leave out some of those who are waited for now. The phase stays; the next step may then be possible. @see ROT-08 */
export function waiveStep(state: Rotating, request: WaiverRequest, context: StepContext): RotationOutcome {
  const { point, late } = gateOf(state, context)
  const strangers = strangersOf(request, late, context)
  if (strangers.length > 0) return { kind: "refused", reason: "waiver-names-strangers", late, strangers }
  const chosen = choose(late, request)
  if ("refusal" in chosen) return { kind: "refused", reason: chosen.refusal, late }
  if (point === undefined) return { kind: "refused", reason: "waiver-names-nobody", late }
  const waivers = [...state.waivers, ...waiversFor(chosen.late, point, request, context)]
  if (waivers.length > MAX_WAIVERS) return { kind: "refused", reason: "waiver-too-long", late }
  return { kind: "moved", state: { ...state, waivers }, what: "waive" }
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
  const names = namesIn(request)
  if (!late.every(isWaivable)) return "not-waivable"
  if (names !== "all" && !late.every(({ id }) => names.has(id))) return "waiver-incomplete"
  const refusal = signatureRefusal(request) ?? (state.waivers.length >= MAX_WAIVERS ? "waiver-too-long" : undefined)
  return refusal ?? { ...state, waivers: [...state.waivers, waiverOf(late, point, request, context)] }
}

/** Names that nobody has who is waited for or could be. Who is known and not late is no stranger: it may have answered just now. @see ROT-08 */
export function strangersOf(
  { consumers }: Pick<WaiverRequest, "consumers">,
  late: readonly LateParty[],
  { evidence }: Pick<StepContext, "evidence">,
): readonly string[] {
  if (consumers === "all") return []
  const parties = [...late, ...evidence.consumers, ...evidence.replicas].map(({ id }) => id)
  const known = new Set([...parties, ...Object.values(UNSEEN)])
  return consumers.filter((name) => !known.has(name))
}

type Chosen = { readonly late: readonly LateParty[] } | { readonly refusal: RotationRefusal }

function choose(late: readonly LateParty[], request: WaiverRequest): Chosen {
  const names = namesIn(request)
  const named = names === "all" ? late.filter(isWaivable) : late.filter(({ id }) => names.has(id))
  if (named.length === 0) return { refusal: "waiver-names-nobody" }
  if (!named.every(isWaivable)) return { refusal: "not-waivable" }
  // The point is asked again, so each of them has to be in the record.
  const refusal = signatureRefusal(request) ?? (named.length > MAX_WAIVED ? "waiver-too-long" : undefined)
  return refusal === undefined ? { late: named } : { refusal }
}

/** Thousands may be named, of tens of thousands who are late. */
function namesIn({ consumers }: WaiverRequest): ReadonlySet<string> | "all" {
  return consumers === "all" ? consumers : new Set(consumers)
}

/** A replica that lives would go on to serve and sign the old way. */
function isWaivable({ kind }: LateParty): boolean {
  return kind !== "replica"
}

/** Why a waiver is none; `undefined`: it is one. */
export function signatureRefusal({ by, reason }: WaiverRequest): RotationRefusal | undefined {
  return by === "" || reason === "" ? "waiver-unsigned" : undefined
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

/** The first of them by name, and how many there are more: nobody waits for who is left behind at once. @see ROT-09 ROT-48 */
export function waiverOf(
  late: readonly LateParty[],
  point: SafePoint,
  { by, reason }: WaiverRequest,
  { now }: StepContext,
): Waiver {
  const consumers = late.slice(0, MAX_WAIVED).map(({ id }) => id)
  const unnamed = late.length > MAX_WAIVED ? { unnamed: late.length - MAX_WAIVED } : {}
  return { point, by, reason: reason.slice(0, MAX_REASON), at: now, consumers, ...unnamed }
}

const MAX_WAIVED = 20_000
const MAX_WAIVERS = 64
const MAX_REASON = 1024
