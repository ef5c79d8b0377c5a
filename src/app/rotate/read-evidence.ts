import type { ReplicaRow, RotationEvidence } from "../../core/authority/evidence.ts"
import type { Held } from "../../core/authority/holder.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"
import type { RootRecord } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { HoldingsReader } from "../../ports/consumers.ts"
import { rootId } from "../authority/root-id.ts"
import type { ConsumerBook } from "../deliver/consumer-book.ts"
import type { Subscribers } from "../deliver/consumers.ts"
import { liveConsumers } from "../deliver/live-consumers.ts"
import type { Turn } from "./in-turns.ts"
import { joinConsumers } from "./join-evidence.ts"

export interface ReadEvidenceDeps {
  readonly holdings: HoldingsReader
  readonly subscribers: Pick<Subscribers, "rows">
  readonly book: Pick<ConsumerBook, "goneSince" | "quoteOf" | "unfollowedUntil" | "overlookedUntil">
  readonly clock: Pick<Clock, "now">
  readonly roots: () => readonly RootRecord[]
  /** `kid` of each JWT key. */
  readonly tokenKeys: () => readonly string[]
  readonly replicas: () => readonly ReplicaRow[]
  /** The server's own identity: it verifies by its own record, and shows the certificate that it made last. */
  readonly ownId: SpiffeId
  /** Until when something may be alive that is in no log, since the store was restored; 0: never. @see STO-37 */
  readonly unloggedUntil: Instant
  /** By how much the clocks of verifiers may differ: what expired for less is in it still. */
  readonly skew: Seconds
  /** Who holds something may be tens of thousands. */
  readonly turn: Turn
}

/** What a rotation may rely on right now. @throws IdentityError `not-ready`, `rate-limited`: then nothing is known */
export type ReadEvidence = () => Promise<RotationEvidence>

export function makeReadEvidence(deps: ReadEvidenceDeps): ReadEvidence {
  return async () => {
    const since = deps.clock.now() - deps.skew
    const { held: all, lastTokens } = await deps.holdings.readHoldings(since)
    // Streams are looked at after the log: who was given something meanwhile is either in the log or answers by a stream.
    const held = all.filter(({ spiffeId }) => spiffeId !== deps.ownId)
    const { book } = deps
    const idOf = makeRootIds(deps.roots())
    const consumers = await joinConsumers({
      held,
      seen: () => ({
        live: liveConsumers(deps.subscribers.rows, book),
        gone: book.goneSince(since),
        overlookedUntil: Math.max(book.overlookedUntil, deps.unloggedUntil),
      }),
      quoteOf: (holder) => book.quoteOf(holder),
      unfollowedUntil: (holder) => book.unfollowedUntil(holder),
      rootId: idOf,
      now: since,
      turn: deps.turn,
    })
    const logged = lastExpiries(held, lastTokens, idOf)
    const lastExpiry = deps.unloggedUntil > since ? withUnlogged(logged, deps) : logged
    return { consumers, replicas: deps.replicas(), lastExpiry }
  }
}

/** Whichever authority it was, it may have signed something that lives as long. */
function withUnlogged(logged: ReadonlyMap<string, Instant>, deps: ReadEvidenceDeps): ReadonlyMap<string, Instant> {
  const names = [...deps.roots().map(rootId), ...deps.tokenKeys()]
  return new Map([
    ...logged,
    ...names.map((name) => [name, Math.max(deps.unloggedUntil, logged.get(name) ?? 0)] as const),
  ])
}

function lastExpiries(
  held: readonly Held[],
  lastTokens: ReadonlyMap<string, Instant>,
  rootId: (keyId: string) => string,
): ReadonlyMap<string, Instant> {
  const last = new Map(lastTokens)
  for (const { keyId, notAfter } of held.flatMap(({ roots }) => roots)) {
    const id = rootId(keyId)
    last.set(id, Math.max(notAfter, last.get(id) ?? 0))
  }
  return last
}

/** A root that is in the record no more keeps its name. */
function makeRootIds(roots: readonly RootRecord[]): (keyId: string) => string {
  const ids = new Map(roots.map(({ keyId, certificate }) => [keyId, hexOf(parseCertificate(certificate).subjectKeyId)]))
  return (keyId) => ids.get(keyId) || keyId
}

function hexOf(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex")
}
