import type { ConsumerRow } from "../../core/authority/evidence.ts"
import { type Held, type Holder, holderKey } from "../../core/authority/holder.ts"
import type { Instant } from "../../core/time.ts"
import type { ConsumerRecord } from "../../ports/consumers.ts"
import type { Quote } from "../deliver/consumer-book.ts"
import type { LiveConsumer } from "../deliver/live-consumers.ts"
import { eachInTurns, flatMapInTurns, type Turn } from "./in-turns.ts"

/** What is known of consumers from each side. */
export interface EvidenceSources {
  /** From the issuance log. */
  readonly held: readonly Held[]
  readonly seen: () => SeenConsumers
  readonly quoteOf: (holder: Holder) => Quote | undefined
  /** Until when a holder has what no stream of it answers for. */
  readonly unfollowedUntil: (holder: Holder) => Instant
  /** Key identifier, in hex, of the root with this name. */
  readonly rootId: (keyId: string) => string
  readonly now: Instant
  readonly turn: Turn
}

/** Who is there and who was, at one moment. */
export interface SeenConsumers {
  readonly live: ReadonlyMap<string, LiveConsumer>
  /** Who left and still holds something. */
  readonly gone: readonly ConsumerRecord[]
  /** Until when a consumer that is in none of these may hold something. */
  readonly overlookedUntil: Instant
}

/**
 * A row for each consumer and each identity that it holds. What was issued and nobody answers for has a row as well, so that
 * everybody who can fail is waited for. Streams come and go between its turns, so who is there is looked at last: whoever opens a
 * stream meanwhile has two rows, and whoever ends one has that of somebody who left. @see EVD-01 EVD-02
 */
export async function joinConsumers(sources: EvidenceSources): Promise<readonly ConsumerRow[]> {
  const { held, turn } = sources
  const heldBy = await identitiesOf(held, turn)
  const unfollowed = await flatMapInTurns(held, (one) => unfollowedRow(sources, one), turn)
  const { live, gone, overlookedUntil } = sources.seen()
  const there = await flatMapInTurns(
    live.values(),
    (consumer) => heldBy(consumer.holder).map((one) => liveRow(sources, consumer, one)),
    turn,
  )
  const left = await flatMapInTurns(
    gone,
    (record) => (live.has(record.id) ? [] : heldBy(record.holder).map((one) => goneRow(sources, record, one))),
    turn,
  )
  return [...there, ...left, ...unfollowed, ...overlookedRow(overlookedUntil, sources.now)]
}

/** What each holder was given; `undefined` alone for one that was given nothing and only verifies. */
async function identitiesOf(
  held: readonly Held[],
  turn: Turn,
): Promise<(holder: Holder) => readonly (Held | undefined)[]> {
  const identities = new Map<string, Held[]>()
  await eachInTurns(held, (one) => append(identities, holderKey(one.holder), one), turn)
  let [last, found]: [Holder | undefined, readonly (Held | undefined)[]] = [undefined, ONLY_VERIFIES]
  return (holder) => {
    // All proxies behind one stream share one holder, and come one after the other.
    if (holder !== last) [last, found] = [holder, identities.get(holderKey(holder)) ?? ONLY_VERIFIES]
    return found
  }
}

function liveRow(sources: EvidenceSources, { row }: LiveConsumer, held: Held | undefined): ConsumerRow {
  if (held === undefined) return row
  const { spiffeId, notAfter } = held
  return { ...row, id: idOf(row.id, held), spiffeId, issuers: issuersOf(sources, held), notAfter }
}

/** It holds no more than what it had been given when it left. */
function goneRow(sources: EvidenceSources, record: ConsumerRecord, held: Held | undefined): ConsumerRow {
  const notAfter = Math.min(record.notAfter, held?.notAfter ?? Number.POSITIVE_INFINITY)
  return {
    ...whoOf(record.holder, held, record.id),
    kind: record.kind,
    ...SILENT,
    nackReason: record.nackReason,
    issuers: issuersOf(sources, held),
    notAfter,
    lastContact: record.lastContact,
  }
}

/** What was issued outside of any stream that is open now: somebody has it, and can prove no more than what he quoted. */
function unfollowedRow(sources: EvidenceSources, held: Held): readonly ConsumerRow[] {
  const notAfter = Math.min(sources.unfollowedUntil(held.holder), held.notAfter)
  if (notAfter <= sources.now) return []
  const quote = sources.quoteOf(held.holder)
  const said = quote === undefined ? SILENT : { grade: quote.grade, live: true, epoch: quote.epoch }
  return [
    {
      ...whoOf(held.holder, held, `${holderKey(held.holder)}/issued`),
      kind: "agent",
      ...said,
      nackReason: undefined,
      issuers: issuersOf(sources, held),
      notAfter,
      lastContact: held.lastIssued,
    },
  ]
}

/** One row for all who were too many to be told apart. */
function overlookedRow(overlookedUntil: Instant, now: Instant): readonly ConsumerRow[] {
  if (overlookedUntil <= now) return []
  const who = { id: "beyond-the-bound", spiffeId: undefined, cluster: "", namespace: "", pod: "", node: "" }
  const rest = { nackReason: undefined, issuers: [], notAfter: overlookedUntil, lastContact: now }
  return [{ ...who, kind: "agent", ...SILENT, ...rest }]
}

function whoOf({ cluster, namespace, pod, node }: Holder, held: Held | undefined, id: string) {
  return { id: idOf(id, held), spiffeId: held?.spiffeId, cluster, namespace, pod, node }
}

function idOf(id: string, held: Held | undefined): string {
  return held === undefined ? id : `${id} ${held.spiffeId}`
}

function issuersOf({ rootId }: EvidenceSources, held: Held | undefined): readonly string[] {
  return held?.roots.map(({ keyId }) => rootId(keyId)) ?? []
}

function append<Item>(map: Map<string, Item[]>, key: string, item: Item): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [item])
  else list.push(item)
}

const ONLY_VERIFIES = [undefined]
const SILENT = { grade: "lease", live: false, epoch: 0 } as const
