import type { Instant, Seconds } from "../time.ts"
import type { ConsumerRow, ReplicaRow, RotationEvidence } from "./evidence.ts"
import { type LateParty, type LateReason, UNSEEN } from "./late-party.ts"

/** The waits that stand in where nobody answers. */
export interface RotationTerms {
  /** By how much clocks may differ. */
  readonly skew: Seconds
  /** How long readers that cannot be seen keep a bundle: federated peers, JWKS caches, ConfigMaps. @see TM-01 */
  readonly readerWait: Seconds
  /** How long a new authority is trusted before it signs, whatever anybody proves: 0 for roots. @see AUT-20 */
  readonly publishAhead: Seconds
  /** How long a canary runs at least. */
  readonly canarySoak: Seconds
  /** Longest life of an SVID, or of a token. */
  readonly maxSvidTtl: Seconds
}

/** What safe points are asked over. All functions here return who is late; nobody means that the point is reached. */
export interface PointQuestion {
  readonly evidence: RotationEvidence
  readonly now: Instant
  readonly terms: RotationTerms
}

/**
 * Who has not got the bundle of `epoch`: each holder of something unexpired and each live stream must have acknowledged it, each
 * live replica must serve it, and unseen readers have had their time since it was published. For SP1 with the bundle of both
 * authorities, for SP3 with that of one. @param wait for unseen readers @see ROT-10 ROT-12
 */
export function lateForBundle(
  epoch: number,
  since: Instant,
  question: PointQuestion,
  wait: Seconds = question.terms.readerWait,
): readonly LateParty[] {
  const { evidence, now, terms } = question
  const readersUntil = epoch === 0 || wait === 0 ? 0 : since + wait + terms.skew
  return [
    ...evidence.consumers.flatMap((row) => lateConsumer(row, bundleReason(row, epoch, question), terms)),
    ...replicasBehind(epoch, question),
    ...(readersUntil > now ? [latePassage(UNSEEN.readers, "unseen-readers", readersUntil)] : []),
  ]
}

/** SP1: {@link lateForBundle} with the time for which a new authority must be known before it signs. @see ROT-10 AUT-20 */
export function lateForTrust(epoch: number, since: Instant, question: PointQuestion): readonly LateParty[] {
  const { readerWait, publishAhead } = question.terms
  return lateForBundle(epoch, since, question, Math.max(readerWait, publishAhead))
}

/** Replicas that do not serve the bundle of `epoch` yet, and act by an older record. */
export function replicasBehind(epoch: number, question: PointQuestion): readonly LateParty[] {
  const behind = liveReplicas(question).filter((replica) => replica.epoch < epoch)
  return behind.map((replica) => lateReplica(replica, "replica-behind"))
}

/** SP2 for the old authority, and `unused` for a new one that is given up: what of it is alive, and who may still sign with it. @see ROT-11 */
export function lateForExpiry(authority: string, question: PointQuestion): readonly LateParty[] {
  const { evidence, now, terms } = question
  const holders = evidence.consumers.filter((row) => row.issuers.includes(authority) && row.notAfter + terms.skew > now)
  const last = (evidence.lastExpiry.get(authority) ?? 0) + terms.skew
  // Who renews holds something for ever longer, but nothing of this one beyond the last that it signed.
  const until = (row: ConsumerRow) => Math.min(row.notAfter, evidence.lastExpiry.get(authority) ?? row.notAfter)
  const signing = liveReplicas(question).filter(({ signsWith }) => signsWith === authority)
  return [
    ...holders.flatMap((row) => lateConsumer({ ...row, notAfter: until(row) }, "holds-other", terms)),
    ...(evidence.lastExpiry.has(authority) && last > now ? [latePassage(UNSEEN.holders, "unexpired", last)] : []),
    ...signing.map((replica) => lateReplica(replica, "replica-signs-other")),
  ]
}

/** Replicas that do not sign with `authority` yet. @see ROT-13 */
export function lateForSigning(authority: string, question: PointQuestion): readonly LateParty[] {
  return liveReplicas(question)
    .filter(({ signsWith }) => signsWith !== authority)
    .map((replica) => lateReplica(replica, "replica-signs-other"))
}

export function lateForCanary(since: Instant, { now, terms }: PointQuestion): readonly LateParty[] {
  const until = since + terms.canarySoak
  return until > now ? [latePassage(UNSEEN.canary, "soaking", until)] : []
}

/** Consumers that refused the newest bundle. @see RINV-11 */
export function refusing({ consumers }: RotationEvidence): readonly ConsumerRow[] {
  return consumers.filter(({ live, nackReason }) => live && nackReason !== undefined)
}

/** `undefined`: it is not late. A stream that is gone proves nothing any more. @see INV-27 */
function bundleReason(row: ConsumerRow, epoch: number, { now, terms }: PointQuestion): LateReason | undefined {
  const canFail = row.notAfter + terms.skew > now || (row.spiffeId === undefined && row.live)
  if (!canFail) return undefined
  if (!row.live) return "disconnected"
  if (row.grade === "lease") return "never-acknowledges"
  if (row.epoch >= epoch) return undefined
  return row.nackReason === undefined ? "not-acknowledged" : "nack"
}

/** Those whose lease is over sign nothing and serve nobody, so they are not waited for. @see INV-29 */
function liveReplicas({ evidence, now, terms }: PointQuestion): readonly ReplicaRow[] {
  return evidence.replicas.filter(({ leaseUntil }) => leaseUntil + terms.skew > now)
}

function lateConsumer(row: ConsumerRow, reason: LateReason | undefined, terms: RotationTerms): readonly LateParty[] {
  if (reason === undefined) return []
  const { id, namespace, node, grade } = row
  const endless = row.spiffeId === undefined && row.live
  return [
    {
      id,
      kind: "consumer",
      reason,
      detail: row.nackReason ?? "",
      spiffeId: row.spiffeId ?? "",
      namespace,
      node,
      grade,
      until: endless ? undefined : row.notAfter + terms.skew,
    },
  ]
}

/** Its lease is renewed as long as it lives, so nobody can say until when. */
function lateReplica(replica: ReplicaRow, reason: LateReason): LateParty {
  return { ...NOBODY, id: replica.id, kind: "replica", reason, until: undefined }
}

function latePassage(id: string, reason: LateReason, until: Instant): LateParty {
  return { ...NOBODY, id, kind: "time", reason, until }
}

const NOBODY = { detail: "", spiffeId: "", namespace: "", node: "", grade: undefined } as const
