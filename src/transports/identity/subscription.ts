import { once } from "node:events"
import type { ServerDuplexStream } from "@grpc/grpc-js"
import { isBannedError } from "../../app/ban/banned.ts"
import type { Subscribers } from "../../app/deliver/consumers.ts"
import type { WatchEntitlements } from "../../app/deliver/entitlements.ts"
import { limitLife } from "../../app/deliver/limit-life.ts"
import { drawStreamAge } from "../../app/deliver/stream-age.ts"
import type { Holder } from "../../core/authority/holder.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Millis, Seconds } from "../../core/time.ts"
import {
  type Consumer,
  ConsumerKind,
  type SubscribeRequest,
  type SubscribeResponse,
} from "../../gen/assay/v1/identity.ts"
import type { ConsumerReport } from "../../ports/identity-authority.ts"
import type { Random } from "../../ports/random.ts"
import { bearerToken } from "../grpc/bearer.ts"
import { toStatus } from "../grpc/status.ts"
import { type EncodeJwks, encodeUpdate } from "./messages.ts"
import { Peer } from "./subscription-peer.ts"

export interface SubscriptionDeps {
  readonly watchEntitlements: WatchEntitlements
  /** Who the platform says that the holder of a token is. @throws IdentityError when it does not attest */
  readonly holderOf: (token: string, signal: AbortSignal) => Promise<Holder>
  readonly subscribers: Subscribers
  readonly encodeJwks: EncodeJwks
  readonly newRequestId: () => string
  readonly limits: () => { readonly tokenBytes: number; readonly streamAge: Seconds }
  readonly random: Random
  readonly closing: AbortSignal
}

type Stream = ServerDuplexStream<SubscribeRequest, SubscribeResponse>

/** Serve one Subscribe stream to its end. It ends well at its age limit, when its token expires, and when the server closes. */
export async function serveSubscription(stream: Stream, deps: SubscriptionDeps): Promise<void> {
  const requestId = deps.newRequestId()
  const { tokenBytes, streamAge } = deps.limits()
  const age: Millis = Math.ceil(drawStreamAge(streamAge, deps.random) * 1000)
  const stop = new AbortController()
  using life = limitLife(age)
  const signal = AbortSignal.any([stop.signal, deps.closing, life.signal])
  const peer = new Peer(deps.subscribers)
  stream.on("data", (request: SubscribeRequest) => {
    try {
      receive(request, peer)
    } catch (thrown) {
      stop.abort(thrown)
    }
  })
  // It comes of streams that ended well, too: by then there is nothing left to stop.
  for (const over of ["cancelled", "end", "error"]) stream.on(over, () => stop.abort(OVER))
  try {
    const token = bearerToken(stream.metadata, tokenBytes)
    peer.attested(await deps.holderOf(token, signal))
    const evict = (error: IdentityError) => stop.abort(error)
    for await (const update of deps.watchEntitlements(token, evict, signal)) {
      if (update.kind === "snapshot") peer.sending(update.snapshot.epoch)
      if (!stream.write(encodeUpdate(update, deps.encodeJwks)))
        await once(stream, "drain", { signal }).catch(() => undefined)
    }
    if (stop.signal.reason instanceof IdentityError) throw stop.signal.reason
    stream.end()
  } catch (thrown) {
    evictBanned(stream, thrown)
    stream.emit("error", toStatus(thrown, {}, requestId))
  } finally {
    peer[Symbol.dispose]()
  }
}

/** The agent is to stop serving what it holds. */
function evictBanned(stream: Stream, thrown: unknown): void {
  const error = toIdentityError(thrown)
  if (!isBannedError(error) || !stream.writable) return
  const directive = { $case: "evict", value: { reason: error.reason ?? error.code } } as const
  stream.write({ message: { $case: "directive", value: { directive } } })
}

/** @throws IdentityError `malformed` when the messages are out of order or too long */
function receive({ message }: SubscribeRequest, peer: Peer): void {
  if (message === undefined) throw new IdentityError("malformed", "empty message")
  switch (message.$case) {
    case "hello":
      peer.hello(clip(message.value.agent, MAX_NAME))
      break
    case "ack":
      peer.acknowledged(message.value.epoch, reasonOf(message.value))
      break
    case "report":
      if (message.value.consumers.length > MAX_CONSUMERS) throw new IdentityError("malformed", "too many consumers")
      peer.reported(message.value.consumers.map(consumerReport), message.value.unlisted)
      break
    default:
      message satisfies never
  }
}

function reasonOf({ nackReason }: { readonly nackReason: string }): string | undefined {
  return nackReason === "" ? undefined : clip(nackReason, MAX_REASON)
}

function consumerReport(consumer: Consumer): ConsumerReport {
  return {
    name: clip(consumer.name, MAX_NAME),
    kind: KINDS[consumer.kind] ?? "workload-api",
    epoch: consumer.epoch,
    nackReason: reasonOf(consumer),
  }
}

function clip(text: string, length: number): string {
  return text.slice(0, length)
}

/** One for all, since each would have a stack of its own that nobody reads. */
const OVER = new DOMException("the stream is over", "AbortError")
const KINDS: Readonly<Record<number, ConsumerReport["kind"]>> = {
  [ConsumerKind.CONSUMER_KIND_SDS]: "sds",
  [ConsumerKind.CONSUMER_KIND_WORKLOAD_API]: "workload-api",
  [ConsumerKind.CONSUMER_KIND_FILE]: "file",
}
const MAX_NAME = 253
const MAX_REASON = 1024
const MAX_CONSUMERS = 1024
