import type { ConsumerRow, ReplicaRow } from "../../../src/core/authority/evidence.ts"
import type { RotationCommand, RotationOutcome, StepContext } from "../../../src/core/authority/rotation-command.ts"
import { type RotationState, STABLE } from "../../../src/core/authority/rotation-state.ts"
import { stepRotation } from "../../../src/core/authority/rotation-step.ts"
import { parseSpiffeId } from "../../../src/core/spiffe/id.ts"

export const NOW = 10_000

/** A live proxy that acknowledged epoch 1 and holds an SVID of `old` for ten minutes. */
export function consumer(id: string, fields: Partial<ConsumerRow> = {}): ConsumerRow {
  return {
    id,
    spiffeId: parseSpiffeId(`spiffe://prod.example/${id}`),
    cluster: "prod",
    namespace: "shop",
    pod: `${id}-0`,
    node: "n1",
    kind: "sds",
    grade: "sds-ack",
    live: true,
    epoch: 1,
    nackReason: undefined,
    issuers: ["old"],
    notAfter: NOW + 600,
    lastContact: NOW,
    ...fields,
  }
}

export function replica(fields: Partial<ReplicaRow> = {}): ReplicaRow {
  return { id: "r1", epoch: 1, signsWith: "old", leaseUntil: NOW + 10, ...fields }
}

/** With clocks that may differ by 30 seconds and no other waits. */
export function context(
  consumers: readonly ConsumerRow[],
  replicas: readonly ReplicaRow[] = [replica()],
  fields: Partial<StepContext> = {},
): StepContext {
  const lastExpiry = new Map<string, number>()
  for (const { issuers, notAfter } of consumers) {
    for (const issuer of issuers) lastExpiry.set(issuer, Math.max(notAfter, lastExpiry.get(issuer) ?? 0))
  }
  const terms = { skew: 30, readerWait: 0, publishAhead: 0, canarySoak: 0, maxSvidTtl: 600 }
  return { now: NOW, epoch: 1, evidence: { consumers, replicas, lastExpiry }, terms, ...fields }
}

export const START: Extract<RotationCommand, { kind: "start" }> = {
  kind: "start",
  id: "r-1",
  old: "old",
  keyId: "root-2",
  auto: false,
  canary: { namespaces: [], prefixes: [] },
}
export const KEYED: Extract<RotationCommand, { kind: "keyed" }> = {
  kind: "keyed",
  next: "next",
  notAfter: NOW + 86_400,
}

/** The state after all of `commands`, in a world where nobody is late. @throws Error when one is refused */
export function after(...commands: readonly (RotationCommand | RotationCommand["kind"])[]): RotationState {
  return commands.reduce<RotationState>((state, command) => {
    const calm = context([], [replica({ epoch: 9, signsWith: calmSigner(state) })], { epoch: 1 })
    const outcome = stepRotation(state, typeof command === "string" ? plain(command) : command, calm)
    if (outcome.kind === "refused") throw new Error(`${state.phase}: ${outcome.reason}`)
    return outcome.state
  }, STABLE)
}

export function refusalOf(outcome: RotationOutcome): string {
  return outcome.kind === "refused" ? outcome.reason : "moved"
}

export function lateOf(outcome: RotationOutcome): readonly string[] {
  return outcome.kind === "refused" ? outcome.late.map(({ id, reason }) => `${id} ${reason}`) : []
}

export function phaseOf(outcome: RotationOutcome): string {
  return outcome.kind === "moved" ? outcome.state.phase : `refused: ${outcome.reason}`
}

function calmSigner({ phase }: RotationState): string {
  return ["active", "draining", "drained", "retiring", "retired"].includes(phase) ? "next" : "old"
}

function plain(kind: RotationCommand["kind"]): RotationCommand {
  if (kind === "advance" || kind === "tick" || kind === "pause" || kind === "rollback" || kind === "abort")
    return { kind }
  throw new Error(`${kind} needs more`)
}
