import type { ConsumerRow } from "../../core/authority/evidence.ts"
import type { Holder } from "../../core/authority/holder.ts"
import type { Instant } from "../../core/time.ts"
import type { ConsumerReport } from "../../ports/identity-authority.ts"
import type { ConsumerBook, Quote } from "./consumer-book.ts"
import { consumerId, type SubscriberRow } from "./consumers.ts"

/** What a consumer with an open stream has said. */
export interface LiveConsumer {
  readonly holder: Holder
  /** As that of one that only verifies. */
  readonly row: ConsumerRow
}

/** Every consumer behind `streams`, once each by id: when two streams speak of it, what is less counts. @see EV-1 EV-2 EV-3 EV-6 */
export function liveConsumers(
  streams: readonly SubscriberRow[],
  book: Pick<ConsumerBook, "quoteOf">,
): ReadonlyMap<string, LiveConsumer> {
  const found = new Map<string, LiveConsumer>()
  for (const stream of streams) {
    const quoted = stream.door === "agent" ? book.quoteOf(stream.holder) : undefined
    for (const next of consumersOf(stream, quoted)) {
      const before = found.get(next.row.id)
      found.set(next.row.id, before === undefined ? next : lesser(before, next))
    }
  }
  return found
}

/** All that one stream speaks of, as it was made the last time when nothing was said since. */
function consumersOf(stream: SubscriberRow, quoted: Quote | undefined): readonly LiveConsumer[] {
  const known = KNOWN.get(stream)?.deref()
  if (known !== undefined && known.quoted === quoted) return known.consumers
  const consumers = stream.consumers.map((report) => behind(stream, report, quoted))
  if (stream.door === "agent") consumers.unshift(agentOf(stream))
  if (stream.unlisted > 0) consumers.push(unlistedOf(stream))
  KNOWN.set(stream, new WeakRef({ quoted, consumers }))
  return consumers
}

function agentOf({ holder, agent, epoch, nackReason, lastContact }: SubscriberRow): LiveConsumer {
  const id = consumerId(holder, "agent", agent)
  return live(id, holder, "agent", "subscription-ack", epoch, nackReason, lastContact)
}

/** One for all that are behind a stream and were not listed: whoever says nothing has acknowledged nothing. @see EVD-12 */
function unlistedOf({ holder, agent, lastContact }: SubscriberRow): LiveConsumer {
  const id = consumerId(holder, "agent", `${agent}/unlisted`)
  return live(id, holder, "sds", "sds-ack", 0, undefined, lastContact)
}

function behind(stream: SubscriberRow, report: ConsumerReport, quoted: Quote | undefined): LiveConsumer {
  const { holder, lastContact } = stream
  const { kind, name, nackReason } = report
  const id = consumerId(holder, kind, name)
  return live(id, holder, kind, gradeOf(kind, quoted), epochOf(stream, report, quoted), nackReason, lastContact)
}

function gradeOf(kind: ConsumerReport["kind"], quoted: Quote | undefined): ConsumerRow["grade"] {
  switch (kind) {
    case "sds":
      return "sds-ack"
    case "file":
      return "subscription-ack"
    case "workload-api":
      // It cannot say anything itself. Its agent says, when it renews, what it has handed on.
      return quoted?.grade ?? "lease"
    default:
      return kind satisfies never
  }
}

function epochOf(stream: SubscriberRow, { kind, epoch }: ConsumerReport, quoted: Quote | undefined): number {
  if (kind === "workload-api") return quoted === undefined ? 0 : Math.min(quoted.epoch, stream.epoch)
  // An epoch that was not sent on this stream is not one of ours.
  return epoch <= stream.sent ? epoch : 0
}

/** One literal: there is one for each of tens of thousands of proxies, and an object that parts are spread into costs four times as much. */
function live(
  id: string,
  holder: Holder,
  kind: ConsumerRow["kind"],
  grade: ConsumerRow["grade"],
  epoch: number,
  nackReason: string | undefined,
  lastContact: Instant,
): LiveConsumer {
  return {
    holder,
    row: {
      id,
      spiffeId: undefined,
      cluster: holder.cluster,
      namespace: holder.namespace,
      pod: holder.pod,
      node: holder.node,
      kind,
      grade,
      live: true,
      epoch,
      nackReason,
      issuers: NO_ISSUERS,
      notAfter: lastContact,
      lastContact,
    },
  }
}

function lesser(a: LiveConsumer, b: LiveConsumer): LiveConsumer {
  const least = b.row.epoch < a.row.epoch ? b : a
  const lastContact = Math.max(a.row.lastContact, b.row.lastContact)
  const nackReason = a.row.nackReason ?? b.row.nackReason
  return { ...least, row: { ...least.row, nackReason, notAfter: lastContact, lastContact } }
}

/**
 * A row is replaced when its stream says something, and never changed. Who looks at a rotation looks again within a second, and rows
 * for 10,000 proxies that are made anew each time fill the heap; held weakly, they are there until it is collected.
 */
const KNOWN = new WeakMap<
  SubscriberRow,
  WeakRef<{ readonly quoted: Quote | undefined; readonly consumers: readonly LiveConsumer[] }>
>()
const NO_ISSUERS: readonly string[] = []
