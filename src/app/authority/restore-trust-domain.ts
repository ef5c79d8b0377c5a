import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { AuditChain, AuditLog } from "../../ports/audit-log.ts"
import type { AuthorityJournal, AuthorityRecord } from "../../ports/authority-journal.ts"
import type { AuthorityWitness } from "../../ports/authority-witness.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyStore } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"

export interface RestoreDeps {
  readonly journal: AuthorityJournal
  readonly witness: AuthorityWitness
  readonly audit: AuditLog
  readonly chain: AuditChain
  readonly keys: Pick<KeyStore, "list">
  readonly clock: Clock
  readonly random: Random
  /** Who restores, for the audit log. */
  readonly actor: string
}

/** What a restore goes by, and what it comes to. */
export interface RestorePlan {
  /** What the store says; `undefined`: it is empty. */
  readonly found: AuthorityRecord | undefined
  /** What the key folder says; `undefined`: it is from before there were witnesses. */
  readonly witnessed: AuthorityRecord | undefined
  readonly record: AuthorityRecord
}

/**
 * Plan a new incarnation over a store that came from a backup, or is empty. Authorities are those of whoever knows more, so a rotation
 * that went on after the backup stands where it was. @throws IdentityError `not-found` when nobody knows any; `conflict` when both are
 * of different trust domains; `not-ready`, reason `key-missing`, when a key is not there @see INV-24
 */
export async function planRestore(
  deps: Pick<RestoreDeps, "witness" | "keys" | "clock" | "random"> & {
    readonly journal: Pick<AuthorityJournal, "read">
  },
): Promise<RestorePlan> {
  const [found, witnessed] = [await deps.journal.read(), await deps.witness.read()]
  const base = newest(found, witnessed)
  const { rotations, controller: _over, ...rest } = base
  const now = deps.clock.now()
  const epoch = Math.max(found?.epoch ?? 0, witnessed?.epoch ?? 0) + EPOCH_JUMP
  const record: AuthorityRecord = {
    ...rest,
    incarnation: Buffer.from(deps.random(16)).toString("hex"),
    revision: (found?.revision ?? 0) + 1,
    epoch,
    requiredEpoch: epoch,
    rotations: { x509: asOf(rotations.x509, epoch, now), jwt: asOf(rotations.jwt, epoch, now) },
    controller: undefined,
    restoredAt: now,
  }
  await demandKeys(record, deps.keys)
  return { found, witnessed, record }
}

/** Do it: audited, then written, then witnessed. Run again after a crash it makes one more incarnation. @throws IdentityError as {@link planRestore} */
export async function restoreTrustDomain(deps: RestoreDeps): Promise<RestorePlan> {
  const plan = await planRestore(deps)
  const { record, found, witnessed } = plan
  const { trustDomain, incarnation, epoch } = record
  const at = deps.clock.now()
  await deps.chain.start({ trustDomain, incarnation }, at)
  await deps.audit.append({
    type: "store.restored",
    at,
    actor: deps.actor,
    requestId: "restore",
    incarnation,
    before: witnessed?.incarnation ?? found?.incarnation ?? "",
    source: sourceOf(plan),
    epoch,
  })
  await (found === undefined ? deps.journal.create(record) : deps.journal.replace(record))
  await deps.witness.write(record)
  return plan
}

/** Whose word the authorities are taken from. */
export function sourceOf({ found, witnessed }: Omit<RestorePlan, "record">): "store" | "key-folder" {
  return found !== undefined && newest(found, witnessed) === found ? "store" : "key-folder"
}

function newest(found: AuthorityRecord | undefined, witnessed: AuthorityRecord | undefined): AuthorityRecord {
  if (found === undefined && witnessed === undefined) {
    throw new IdentityError("not-found", "neither the store nor the key folder knows the authorities of a trust domain")
  }
  if (found === undefined || witnessed === undefined) return found ?? witnessed ?? neverReached()
  if (found.trustDomain !== witnessed.trustDomain) {
    throw new IdentityError(
      "conflict",
      `the store is of ${found.trustDomain}, the key folder of ${witnessed.trustDomain}`,
    )
  }
  // Epochs grow from one incarnation to the next, revisions within one.
  const ahead = witnessed.epoch - found.epoch || witnessed.revision - found.revision
  return ahead > 0 ? witnessed : found
}

function neverReached(): never {
  throw new TypeError("one of both is there")
}

/** What was acknowledged before is not known any more: consumers are asked again, for the bundle of the new incarnation. */
function asOf<State extends AuthorityRecord["rotations"]["x509"]>(state: State, epoch: number, now: Instant): State {
  return "epoch" in state && state.epoch > 0 ? { ...state, epoch, epochSince: now } : state
}

async function demandKeys({ roots, jwtKeys }: AuthorityRecord, keys: Pick<KeyStore, "list">): Promise<void> {
  const there = new Set(await keys.list())
  const signing = [...roots, ...jwtKeys].filter(({ state }) => state === "active")
  const missing = signing.filter(({ keyId }) => !there.has(keyId)).map(({ keyId }) => keyId)
  if (missing.length === 0) return
  throw new IdentityError("not-ready", `the key folder has no ${missing.join(", ")}`, {
    reason: "key-missing",
    next: "restore the key folder too, of the same time or later; without these keys there is only a new trust domain",
  })
}

/** Far beyond what a trust domain publishes between a backup and its restore; the last one may not be known. */
const EPOCH_JUMP = 1_000_000
