import { type AuthorityRole, isPublished, rolesOf } from "../../../src/core/authority/authority-roles.ts"
import type { ConsumerRow, RotationEvidence } from "../../../src/core/authority/evidence.ts"
import type { RotationState } from "../../../src/core/authority/rotation-state.ts"
import { parseSpiffeId } from "../../../src/core/spiffe/id.ts"

/** Authorities are bits, so that a bundle is a sum. */
export const A = 1

/** What is in the database: the state of the rotation, and everything that follows from it. */
export interface Stored {
  readonly state: RotationState
  /** Of the newest bundle. */
  readonly epoch: number
  /** What an SVID must not come before. */
  readonly required: number
  /** Which authority signs while no rotation is under way. */
  readonly root: number
  readonly revision: number
}

/** A server: what it read last, or `undefined` when its lease is over. */
export interface Replica {
  readonly view: Stored | undefined
  /** A step it decided on and has not written yet. */
  readonly decided: Stored | undefined
}

export interface Workload {
  /** Which replica it is connected to, -1 for none. */
  readonly replica: number
  /** Epoch of the bundle it trusts, 0 for none. */
  readonly epoch: number
  readonly bundle: number
  /** What its stream of now acknowledged; 0 for nothing. */
  readonly acked: number
  /** The largest epoch that it ever acknowledged, for the variant that believes in it. */
  readonly ackedEver: number
  readonly refused: boolean
  /** Which authority signed the SVID that it shows, 0 for none. */
  readonly holds: number
  /** Which authorities signed what it was given and what has not expired, in use or not. */
  readonly unexpired: number
  /** It was left behind on purpose. */
  readonly waived: boolean
}

export interface World {
  readonly db: Stored
  readonly replicas: readonly Replica[]
  readonly workloads: readonly Workload[]
  /** Rotations begun so far. */
  readonly starts: number
  /** Emergencies so far. */
  readonly emergencies: number
  /** Every authority that there was at the last of them. */
  readonly stolen: number
  /** Rollbacks so far, while they are counted. */
  readonly rollbacks: number
  /** What went wrong on the way here. */
  readonly fault: string | undefined
}

export const UNBORN: Workload = {
  replica: -1,
  epoch: 0,
  bundle: 0,
  acked: 0,
  ackedEver: 0,
  refused: false,
  holds: 0,
  unexpired: 0,
  waived: false,
}

export function firstWorld(replicas: number, workloads: number): World {
  const db: Stored = { state: { phase: "stable" }, epoch: 1, required: 1, root: A, revision: 1 }
  return {
    db,
    replicas: Array.from({ length: replicas }, () => ({ view: db, decided: undefined })),
    workloads: Array.from({ length: workloads }, () => UNBORN),
    starts: 0,
    emergencies: 0,
    stolen: 0,
    rollbacks: 0,
    fault: undefined,
  }
}

/** What a server with this view publishes. */
export function bundleOf({ state, root }: Stored): number {
  if (state.phase === "stable" || state.phase === "planned") return root
  const { old, next } = rolesOf(state)
  return published(old, Number(state.old)) + published(next, Number(state.next))
}

/** What a server with this view may sign with. During a canary that depends on who asks, so it is either. */
export function signersOf(stored: Stored): readonly number[] {
  const { state } = stored
  if (state.phase === "canary") return [Number(state.old), Number(state.next)]
  return [signerOf(stored)]
}

/** The authority that a server reports. */
export function signerOf({ state, root }: Stored): number {
  if (state.phase === "stable" || state.phase === "planned") return root
  return rolesOf(state).next === "active" ? Number(state.next) : Number(state.old)
}

/** The newest authority: each rotation and each emergency makes one, after it was counted. */
export function newest({ starts, emergencies }: Pick<World, "starts" | "emergencies">): number {
  return A << (starts + emergencies)
}

/** What the durable rows say. */
export function evidenceOf({ replicas, workloads }: World, acks: "current" | "maximum"): RotationEvidence {
  const unexpired = workloads.reduce((sum, workload) => sum | workload.unexpired, 0)
  return {
    consumers: workloads.flatMap((workload, index) => rowOf(workload, index, acks)),
    replicas: replicas.flatMap(({ view }, index) =>
      view === undefined
        ? []
        : [{ id: `r${index}`, epoch: view.epoch, signsWith: `${signerOf(view)}`, leaseUntil: LATER }],
    ),
    lastExpiry: new Map(bits(unexpired).map((bit) => [`${bit}`, LATER])),
  }
}

function rowOf(workload: Workload, index: number, acks: "current" | "maximum"): readonly ConsumerRow[] {
  if (workload.unexpired === 0 && workload.replica < 0) return []
  return [
    {
      ...PLACE,
      id: `w${index}`,
      live: acks === "maximum" || workload.replica >= 0,
      epoch: acks === "maximum" ? workload.ackedEver : workload.acked,
      nackReason: workload.refused ? "does not like it" : undefined,
      issuers: bits(workload.unexpired).map((bit) => `${bit}`),
      notAfter: workload.unexpired === 0 ? NOW : LATER,
    },
  ]
}

export function bits(sum: number): readonly number[] {
  return ALL_BITS.filter((bit) => (sum & bit) !== 0)
}

function published(role: AuthorityRole | undefined, bit: number): number {
  return role !== undefined && isPublished(role) ? bit : 0
}

const ALL_BITS = [1, 2, 4, 8]
export const NOW = 1000
const LATER = 2000
const PLACE = {
  spiffeId: parseSpiffeId("spiffe://prod.example/w"),
  cluster: "prod",
  namespace: "shop",
  pod: "",
  node: "",
  kind: "sds",
  grade: "sds-ack",
  lastContact: NOW,
} as const
