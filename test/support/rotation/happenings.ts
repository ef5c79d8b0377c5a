import { requiredEpoch } from "../../../src/core/authority/authority-roles.ts"
import type { RotationEvidence } from "../../../src/core/authority/evidence.ts"
import type { RotationCommand, RotationOutcome, StepContext } from "../../../src/core/authority/rotation-command.ts"
import type { RotationState } from "../../../src/core/authority/rotation-state.ts"
import { stepRotation } from "../../../src/core/authority/rotation-step.ts"
import type { Step } from "./explore.ts"
import {
  bits,
  bundleOf,
  evidenceOf,
  NOW,
  newest,
  type Replica,
  type Stored,
  signerOf,
  signersOf,
  UNBORN,
  type Workload,
  type World,
} from "./world.ts"

/** What the world around the reducer does, and what is wrong with it on purpose. */
export interface Circumstances {
  readonly replicas: number
  readonly starts: number
  /** Most rollbacks. */
  readonly rollbacks: number
  /** Workloads crash: they forget bundle and SVID, which is good still. */
  readonly crashes: boolean
  /** Replicas lose their lease and come back. */
  readonly lapses: boolean
  /** Consumers refuse bundles now and then, and the rotation is automatic. */
  readonly automatic: boolean
  /** Decide first, write later: everything can happen in between. */
  readonly apart: boolean
  /** Operators waive. */
  readonly waivers: boolean
  /** Most emergencies, each in whatever phase. */
  readonly emergencies: number
  readonly acks: "current" | "maximum"
  /** An SVID waits for the bundle that it needs. */
  readonly held: boolean
  readonly cas: boolean
  readonly shown: (evidence: RotationEvidence) => RotationEvidence
  readonly step: (state: RotationState, command: RotationCommand, context: StepContext) => RotationOutcome
}

export const SOUND: Circumstances = {
  replicas: 2,
  starts: 1,
  rollbacks: Number.POSITIVE_INFINITY,
  crashes: true,
  lapses: true,
  automatic: false,
  apart: false,
  waivers: false,
  emergencies: 0,
  acks: "current",
  held: true,
  cas: true,
  shown: (evidence) => evidence,
  step: stepRotation,
}

export function* happenings(world: World, how: Circumstances): Generator<Step<World>> {
  for (const index of world.workloads.keys()) yield* ofWorkload(world, index, how)
  for (const index of world.replicas.keys()) yield* ofReplica(world, index, how)
}

function* ofWorkload(world: World, index: number, how: Circumstances): Generator<Step<World>> {
  const workload = world.workloads[index] ?? UNBORN
  const become = (what: string, part: Partial<Workload>): Step<World> => ({
    name: `w${index} ${what}`,
    state: { ...world, workloads: replaced(world.workloads, index, { ...workload, ...part }) },
  })
  const { replica, unexpired, holds } = workload
  const away = { replica: -1, acked: 0, refused: false }
  if (unexpired !== 0) yield become("all expires", { unexpired: 0, holds: 0 })
  if (unexpired !== holds) yield become("what it had before expires", { unexpired: holds })
  if (how.crashes && (holds !== 0 || workload.epoch !== 0))
    yield become("crashes", { ...away, epoch: 0, bundle: 0, holds: 0 })
  if (replica < 0) {
    for (const [other, { view }] of world.replicas.entries()) {
      if (view !== undefined) yield become(`connects to r${other}`, { replica: other })
    }
    return
  }
  yield become("disconnects", away)
  const view = world.replicas[replica]?.view
  if (view === undefined) return
  if (view.epoch > workload.epoch || (view.epoch === workload.epoch && workload.acked < view.epoch)) {
    const applied = { epoch: view.epoch, bundle: bundleOf(view), acked: view.epoch, refused: false }
    const ackedEver = how.acks === "maximum" ? Math.max(workload.ackedEver, view.epoch) : 0
    yield become("applies and acknowledges", { ...applied, ackedEver })
    if (how.automatic && !workload.refused && view.epoch > workload.epoch) yield become("refuses", { refused: true })
  }
  // In an emergency nobody signs by a record that is not the newest. @see INV-07
  if (world.db.state.phase !== "stable" && world.db.state.emergency && view !== world.db) return
  for (const signer of signersOf(view)) {
    if (how.held && workload.epoch < view.required) continue
    if (holds === signer) continue
    const given = become(`is given an SVID of ${name(signer)}`, { holds: signer, unexpired: unexpired | signer })
    const isStolen = (signer & world.stolen) !== 0
    yield isStolen
      ? { ...given, state: { ...given.state, fault: `RINV-13: ${name(signer)} is stolen, and signs` } }
      : given
  }
}

function* ofReplica(world: World, index: number, how: Circumstances): Generator<Step<World>> {
  const replica = world.replicas[index]
  if (replica === undefined) return
  const become = (what: string, part: Replica, rest: Partial<World> = {}): Step<World> => ({
    name: `r${index} ${what}`,
    state: { ...world, ...rest, replicas: replaced(world.replicas, index, part) },
  })
  const current = { view: world.db, decided: undefined }
  if (replica.view === undefined) {
    yield become("comes back", current)
    return
  }
  if (how.lapses)
    yield become(
      "loses its lease",
      { view: undefined, decided: undefined },
      { workloads: withoutReplica(world, index) },
    )
  if (replica.view !== world.db) yield become("reads the record", current)
  if (replica.decided !== undefined) {
    const { decided } = replica
    if (replica.view === world.db || !how.cas) {
      yield become("writes", { view: decided, decided: undefined }, { db: decided })
      yield become("writes and is told that it failed", { ...replica, decided: undefined }, { db: decided })
    }
    yield become("forgets what it decided", { ...replica, decided: undefined })
    return
  }
  if (replica.view !== world.db) return
  yield* decisions(world, replica.view, how, become)
}

type Become = (what: string, part: Replica, rest?: Partial<World>) => Step<World>

function* decisions(world: World, view: Stored, how: Circumstances, become: Become): Generator<Step<World>> {
  for (const command of commandsFor(world, view, how)) {
    const context: StepContext = {
      now: NOW,
      epoch: view.epoch,
      evidence: how.shown(evidenceOf(world, how.acks)),
      terms: { skew: 0, readerWait: 0, publishAhead: 0, canarySoak: 0, maxSvidTtl: 1 },
    }
    const outcome = how.step(view.state, command, context)
    if (outcome.kind === "refused") continue
    const next = storedAfter(view, outcome.state)
    const counted = countedAfter(world, command, how)
    const fault = faultOfStep(view, outcome, context)
    const rest = { ...counted, fault, workloads: waived(world.workloads, outcome.state) }
    if (how.apart) yield become(`decides to ${command.kind}`, { view, decided: next }, rest)
    else {
      yield become(command.kind, { view: next, decided: undefined }, { ...rest, db: next })
      yield become(`${command.kind}, told that it failed`, { view, decided: undefined }, { ...rest, db: next })
    }
  }
}

type Counted = Pick<World, "starts" | "emergencies" | "stolen" | "rollbacks">

/** What is counted of the world, after a command was carried out. */
function countedAfter(world: World, { kind }: RotationCommand, how: Circumstances): Counted {
  const one = (is: boolean) => (is ? 1 : 0)
  const emergencies = world.emergencies + one(kind === "emergency")
  return {
    starts: world.starts + one(kind === "start"),
    emergencies,
    stolen: kind === "emergency" ? newest({ ...world, emergencies }) - 1 : world.stolen,
    rollbacks: world.rollbacks + one(kind === "rollback" && Number.isFinite(how.rollbacks)),
  }
}

function* commandsFor(world: World, view: Stored, how: Circumstances): Generator<RotationCommand> {
  const { state, root } = view
  if (world.emergencies < how.emergencies) yield emergencyIn(world, view)
  if (state.phase === "stable") {
    if (world.starts >= how.starts) return
    const canary = { namespaces: ["shop"], prefixes: [] }
    yield { kind: "start", id: "", old: `${root}`, keyId: "", auto: how.automatic, canary }
    return
  }
  if (state.phase === "planned") {
    yield { kind: "keyed", next: `${newest(world)}`, notAfter: NOW + 100 }
    return
  }
  if (how.automatic) yield { kind: "tick" }
  if (!how.automatic || state.stopped !== undefined) yield { kind: "advance" }
  if (world.rollbacks < how.rollbacks) yield { kind: "rollback" }
  yield { kind: "abort" }
  if (!how.waivers) return
  yield { kind: "waive", waiver: EVERYBODY }
  yield { kind: "abort", waiver: EVERYBODY }
}

function emergencyIn(world: World, view: Stored): RotationCommand {
  const next = `${newest({ ...world, emergencies: world.emergencies + 1 })}`
  const fresh = { next, keyId: "", notAfter: NOW + 100 }
  return { kind: "emergency", id: "", old: `${signerOf(view)}`, fresh, waiver: EVERYBODY, again: true }
}

/** The record after a step, as the one who writes it makes it. */
function storedAfter(view: Stored, state: RotationState): Stored {
  const before = view.state
  const root = state.phase === "stable" && before.phase === "retired" ? Number(before.next) : view.root
  const required = requiredEpoch(state, view.required)
  return { state, root, required, epoch: Math.max(view.epoch, epochIn(state)), revision: view.revision + 1 }
}

function epochIn(state: RotationState): number {
  return "epoch" in state ? state.epoch : 0
}

/** Steps that must not be taken, whatever comes of them. @see RINV-11 RINV-12 */
function faultOfStep(view: Stored, outcome: RotationOutcome & { kind: "moved" }, context: StepContext) {
  const { state } = outcome
  const refusing = context.evidence.consumers.some(({ nackReason }) => nackReason !== undefined)
  const automatic = view.state.phase !== "stable" && view.state.auto
  if (automatic && refusing && outcome.what === "advance") return "RINV-11: went on although a consumer refused"
  if (state.phase === "stable" || state.phase === "planned") return undefined
  if (state.epoch > view.epoch + 1) return "RINV-03: skips an epoch"
  return undefined
}

function waived(workloads: readonly Workload[], state: RotationState): readonly Workload[] {
  if (state.phase === "stable") return workloads
  const ids = new Set(state.waivers.flatMap(({ consumers }) => consumers))
  return workloads.map((workload, index) => (ids.has(`w${index}`) ? { ...workload, waived: true } : workload))
}

function withoutReplica({ workloads }: World, index: number): readonly Workload[] {
  return workloads.map((workload) =>
    workload.replica === index ? { ...workload, replica: -1, acked: 0, refused: false } : workload,
  )
}

function replaced<T>(list: readonly T[], index: number, value: T): readonly T[] {
  return list.map((item, at) => (at === index ? value : item))
}

export function name(sum: number): string {
  return bits(sum)
    .map((bit) => "ABCD"[Math.log2(bit)])
    .join("")
}

const EVERYBODY = { by: "operator", reason: "drill", consumers: "all" } as const
