import { isPublished } from "../../core/authority/authority-roles.ts"
import { makeChangeSignal } from "../../core/change-signal.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { makeInTurn } from "../../core/in-turn.ts"
import type { TrustBundle, TrustSnapshot } from "../../core/spiffe/bundle.ts"
import type { AuthorityJournal, AuthorityRecord } from "../../ports/authority-journal.ts"

/** The trust domain's authorities as this process sees them, and the snapshot that consumers get of them. */
export interface TrustState {
  record(): AuthorityRecord
  snapshot(): TrustSnapshot
  /** Resolves at the next change of the snapshot, or when `signal` aborts. Never rejects. */
  changed(signal: AbortSignal): Promise<void>
  /** Resolves when this process has written the record next, whether consumers see it or not, or when `signal` aborts. Never rejects. */
  written(signal: AbortSignal): Promise<void>
  /**
   * Change the record by compare-and-swap; `change` is called again on the newer record when another writer was first (at
   * most {@link MAX_ATTEMPTS} times). Writes of this process wait for each other, so that none is answered after a later one and puts
   * an older record in the place of a newer. Consumers see the result when this resolves. @throws IdentityError `conflict` @see AUT-05
   */
  update(change: (record: AuthorityRecord) => AuthorityRecord): Promise<AuthorityRecord>
  /**
   * Read the record again, after the writes of this process that are under way, unless `isKnown` of what is there by then.
   * @throws IdentityError `not-ready` when it cannot be read
   */
  hear(isKnown: (record: AuthorityRecord) => boolean): Promise<void>
  /** Replace the bundles of federated trust domains; equal content changes nothing. */
  setFederated(bundles: readonly TrustBundle[]): Promise<void>
}

/** @throws IdentityError `not-found` when the trust domain was never initialised */
export async function openTrustState(journal: AuthorityJournal): Promise<TrustState> {
  let record = await readRecord(journal)
  let federated: readonly TrustBundle[] = []
  let snapshot = snapshotOf(record, federated)
  const changes = makeChangeSignal()
  const writes = makeChangeSignal()

  const publish = () => {
    snapshot = snapshotOf(record, federated)
    changes.fire()
  }
  const adopt = (written: AuthorityRecord, bundles: readonly TrustBundle[]) => {
    // Most steps of a rotation, and the lease of whoever drives it, are nothing that consumers see.
    const seen = written.epoch !== record.epoch || written.incarnation !== record.incarnation
    record = written
    federated = bundles
    if (seen) publish()
    writes.fire()
  }
  const inTurn = makeInTurn()
  const write = async (change: (record: AuthorityRecord) => AuthorityRecord, bundles = federated) => {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const wanted: AuthorityRecord = { ...change(record), revision: record.revision + 1 }
      const written = await replaceOrReread(journal, wanted)
      const isOurs = written === wanted
      adopt(written, isOurs ? bundles : federated)
      if (isOurs) return written
    }
    throw new IdentityError("conflict", "the authorities were changed by somebody else at the same time; try again")
  }
  return {
    record: () => record,
    snapshot: () => snapshot,
    changed: (signal) => changes.changed(signal),
    written: (signal) => writes.changed(signal),
    update: (change) => inTurn(() => write(change)),
    hear: (isKnown) =>
      inTurn(async () => {
        if (isKnown(record)) return
        const found = await readRecord(journal)
        if (found.revision > record.revision) adopt(found, federated)
      }),
    setFederated: (bundles) =>
      inTurn(async () => {
        if (sameContent(federated, bundles)) return
        await write((current) => ({ ...current, epoch: current.epoch + 1 }), bundles)
      }),
  }
}

/** What the record says that verifiers are to trust. */
export function ownBundle(record: AuthorityRecord): TrustBundle {
  return {
    trustDomain: record.trustDomain,
    x509Authorities: record.roots.filter(({ state }) => isPublished(state)).map((root) => root.certificate),
    jwtAuthorities: record.jwtKeys
      .filter(({ state }) => isPublished(state))
      .map(({ kid, algorithm, jwk }) => ({ kid, algorithm, jwk })),
    sequence: record.epoch,
    refreshHint: undefined,
  }
}

/** The record in the journal after the attempt: `wanted` itself when it is what stands there. @see INV-25 */
async function replaceOrReread(journal: AuthorityJournal, wanted: AuthorityRecord): Promise<AuthorityRecord> {
  try {
    await journal.replace(wanted)
    return wanted
  } catch (thrown) {
    const code = toIdentityError(thrown).code
    const found = await readRecord(journal)
    if (code === "conflict") return found
    // The outcome of the commit was unknown: our own record, or the one before it.
    if (sameContent(found, wanted)) return wanted
    throw thrown
  }
}

async function readRecord(journal: AuthorityJournal): Promise<AuthorityRecord> {
  const record = await journal.read()
  if (record === undefined) {
    throw new IdentityError("not-found", "this store has no trust domain yet; run `assay init`, or start with --init")
  }
  return record
}

function snapshotOf(record: AuthorityRecord, federated: readonly TrustBundle[]): TrustSnapshot {
  return { epoch: record.epoch, incarnation: record.incarnation, own: ownBundle(record), federated }
}

/** Whatever order members are in: a store gives them back in its own. */
function sameContent<T>(left: T, right: T): boolean {
  return JSON.stringify(left, canonical) === JSON.stringify(right, canonical)
}

function canonical(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex")
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
}

const MAX_ATTEMPTS = 5
