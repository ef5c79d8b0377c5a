import type { ConsumerRow } from "../../core/authority/evidence.ts"
import type { Holder } from "../../core/authority/holder.ts"
import type { Instant } from "../../core/time.ts"
import type { ConsumerReport } from "../../ports/identity-authority.ts"
import type { ConsumerBook, Quote } from "./consumer-book.ts"
import { consumerId, type SubscriberRow } from "./consumers.ts"

/** What a consumer with an open stream has said. */
export interface LiveConsumer {
  readonly id: string
  readonly holder: Holder
  readonly kind: ConsumerRow["kind"]
  readonly grade: ConsumerRow["grade"]
  readonly epoch: number
  readonly nackReason: string | undefined
  readonly lastContact: Instant
}

/** Every consumer behind `streams`, once each: when two streams speak of it, what is less counts. @see EV-1 EV-2 EV-3 EV-6 */
export function liveConsumers(
  streams: readonly SubscriberRow[],
  book: Pick<ConsumerBook, "quoteOf">,
): ReadonlyMap<string, LiveConsumer> {
  const found = new Map<string, LiveConsumer>()
  const add = (next: LiveConsumer): void => {
    const before = found.get(next.id)
    found.set(next.id, before === undefined ? next : lesser(before, next))
  }
  for (const stream of streams) {
    if (stream.door === "agent") add(agentOf(stream))
    const quoted = stream.door === "agent" ? book.quoteOf(stream.holder) : undefined
    for (const consumer of stream.consumers) add(behind(stream, consumer, quoted))
    if (stream.unlisted > 0) add(unlistedOf(stream))
  }
  return found
}

function agentOf({ holder, agent, epoch, nackReason, lastContact }: SubscriberRow): LiveConsumer {
  const id = consumerId(holder, "agent", agent)
  return { id, holder, kind: "agent", grade: "subscription-ack", epoch, nackReason, lastContact }
}

/** One for all that are behind a stream and were not listed: whoever says nothing has acknowledged nothing. @see EVD-12 */
function unlistedOf({ holder, agent, lastContact }: SubscriberRow): LiveConsumer {
  const id = consumerId(holder, "agent", `${agent}/unlisted`)
  return { id, holder, kind: "sds", grade: "sds-ack", epoch: 0, nackReason: undefined, lastContact }
}

function behind(
  stream: SubscriberRow,
  { kind, name, epoch, nackReason }: ConsumerReport,
  quoted: Quote | undefined,
): LiveConsumer {
  const { holder, sent, lastContact } = stream
  const base = { id: consumerId(holder, kind, name), holder, kind, nackReason, lastContact }
  switch (kind) {
    case "sds":
      // An epoch that was not sent on this stream is not one of ours.
      return { ...base, grade: "sds-ack", epoch: epoch <= sent ? epoch : 0 }
    case "file":
      return { ...base, grade: "subscription-ack", epoch: epoch <= sent ? epoch : 0 }
    case "workload-api":
      // It cannot say anything itself. Its agent says, when it renews, what it has handed on.
      if (quoted === undefined) return { ...base, grade: "lease", epoch: 0 }
      return { ...base, grade: quoted.grade, epoch: Math.min(quoted.epoch, stream.epoch) }
    default:
      return kind satisfies never
  }
}

function lesser(a: LiveConsumer, b: LiveConsumer): LiveConsumer {
  const least = b.epoch < a.epoch ? b : a
  return {
    ...least,
    nackReason: a.nackReason ?? b.nackReason,
    lastContact: Math.max(a.lastContact, b.lastContact),
  }
}
