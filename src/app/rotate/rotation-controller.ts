import { claimLease } from "../../core/authority/controller-lease.ts"
import type { RotationPhase, RotationState } from "../../core/authority/rotation-state.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Instant, Millis, Seconds } from "../../core/time.ts"
import type { ClockGuard } from "../issue/clock-guard.ts"
import { advance, keyPlanned, makeOperateRotation, type RotationWish } from "./operate-rotation.ts"
import type { RotateDeps } from "./rotate-deps.ts"
import { takeStep } from "./take-step.ts"

export interface ControllerDeps extends RotateDeps {
  readonly guard: ClockGuard
  /** Of this process, for all kinds. */
  readonly holder: string
  /** When the authority that signs is to be replaced without anybody asking, and how; `undefined`: only operators start rotations. */
  readonly schedule: () => ScheduledRotation | undefined
  readonly events: RotationEvents
  /** Ask holders for what the state of the rotation needs of them. Called after each {@link RotationController.drive}. */
  readonly order: (state: RotationState, now: Instant) => void
  /** Resolves when evidence may have changed, or when `signal` aborts. Never rejects. */
  readonly changed: (signal: AbortSignal) => Promise<void>
}

export interface ScheduledRotation extends RotationWish {
  readonly due: Instant
}

/** What rotations do, for log and metrics: one call per event. */
export interface RotationEvents {
  moved(from: RotationPhase, to: RotationPhase): void
  failed(thrown: unknown): void
}

export interface RotationController {
  /** Everything that can be done now: follow the record, and take the steps that evidence allows. Resolves to the phase. */
  drive(): Promise<RotationPhase>
  /** {@link drive} on each change, and at least every second while a rotation is under way, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

/**
 * Drives the rotations of one kind of authority from what the record says, so that they go on after a crash at any step. A failure
 * stops what is automatic. @see RINV-11
 */
export function makeRotationController(deps: ControllerDeps): RotationController {
  const drive = async () => {
    const phase = await driveOnce(deps)
    deps.order(stateOf(deps), deps.clock.now())
    return phase
  }
  return { drive, run: (signal) => runController(deps, drive, signal) }
}

async function driveOnce(deps: ControllerDeps): Promise<RotationPhase> {
  await deps.authority.follow() // every process, whoever drives
  if (isIdle(deps) || !(await claim(deps))) return phaseOf(deps)
  await startWhenDue(deps)
  for (let step = 0; step < MAX_STEPS; step++) {
    const before = phaseOf(deps)
    await keyPlanned(deps, SERVER)
    await advance(deps, { kind: "tick" }, SERVER)
    const after = phaseOf(deps)
    if (after === before) break
    deps.events.moved(before, after)
    await deps.authority.follow()
  }
  return phaseOf(deps)
}

async function runController(
  deps: ControllerDeps,
  drive: RotationController["drive"],
  signal: AbortSignal,
): Promise<void> {
  let wait = POLL
  let rest = REST
  while (!signal.aborted) {
    const begun = deps.clock.monotonic()
    const settled = new AbortController()
    // Armed before anything is read, so that nothing is overlooked meanwhile.
    const woken = news(deps, () => rest, AbortSignal.any([signal, settled.signal]))
    try {
      const phase = deps.guard.steady() ? await drive() : phaseOf(deps)
      wait = phase === "stable" ? IDLE : POLL
    } catch (thrown) {
      deps.events.failed(thrown)
      await stop(deps, thrown)
      wait = Math.min(wait * 2, IDLE)
    }
    rest = Math.max(REST, (deps.clock.monotonic() - begun) * REST_SHARE)
    await Promise.race([woken, deps.clock.sleep(wait * 1000, settled.signal)])
    settled.abort()
  }
}

function phaseOf(deps: ControllerDeps): RotationPhase {
  return stateOf(deps).phase
}

function stateOf({ trust, authority }: ControllerDeps): RotationState {
  return trust.record().rotations[authority.kind]
}

/** Nothing is under way, and nothing is due. */
function isIdle(deps: ControllerDeps): boolean {
  return phaseOf(deps) === "stable" && !isDue(deps)
}

function isDue({ clock, schedule }: ControllerDeps): boolean {
  const due = schedule()?.due
  return due !== undefined && clock.now() >= due
}

async function startWhenDue(deps: ControllerDeps): Promise<void> {
  const plan = deps.schedule()
  if (plan === undefined || phaseOf(deps) !== "stable" || !isDue(deps)) return
  const { auto, canary } = plan
  await makeOperateRotation(deps).start({ auto, canary }, SERVER)
}

/** Whether this process drives. @throws IdentityError `conflict` */
async function claim(deps: ControllerDeps): Promise<boolean> {
  const { controller } = deps.trust.record()
  const claimed = claimLease(controller, deps.holder, deps.clock.now(), LEASE)
  if (claimed === "held" || claimed === "others") return claimed === "held"
  const written = await deps.trust.update((record) => {
    const again = claimLease(record.controller, deps.holder, deps.clock.now(), LEASE)
    if (again === "others") throw new IdentityError("conflict", "another server drives the rotations")
    return again === "held" ? record : { ...record, controller: again }
  })
  return written.controller?.holder === deps.holder
}

/** @see RINV-11 */
async function stop(deps: ControllerDeps, thrown: unknown): Promise<void> {
  const { code, message } = toIdentityError(thrown)
  if (code === "conflict" || code === "cancelled") return
  await takeStep(deps, { kind: "fault", reason: `${code}: ${message}` }, SERVER).catch((again: unknown) =>
    deps.events.failed(again),
  )
}

/** Somebody wants something, or evidence has changed and had time to change some more. Resolves when `signal` aborts. @see ROT-42 */
async function news({ trust, changed, clock }: ControllerDeps, rest: () => Millis, signal: AbortSignal): Promise<void> {
  const evidence = changed(signal).then(() => clock.sleep(rest(), signal))
  await Promise.race([evidence, trust.written(signal)])
}

const SERVER = { actor: "server", requestId: "rotation" }
const LEASE: Seconds = 10
const POLL: Seconds = 1
const IDLE: Seconds = 5
/** What thousands acknowledge at the same time is looked at together. */
const REST: Millis = 100
/** Looking at many takes long, so it rests for as many times as long: they have to be served, too. */
const REST_SHARE = 4
const MAX_STEPS = 12
