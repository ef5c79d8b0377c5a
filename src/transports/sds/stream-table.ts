import type { ServerDuplexStream } from "@grpc/grpc-js"
import type { IdentitySource } from "../../app/deliver/identity-source.ts"
import { drawStreamAge } from "../../app/deliver/stream-age.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Millis, Seconds } from "../../core/time.ts"
import type { DiscoveryRequest } from "../../gen/envoy/service/discovery/v3/discovery.ts"
import { toStatus } from "../grpc/status.ts"
import { parseNodeFacts, requireSecretType } from "./node-facts.ts"
import type { SdsDoor, SdsEvents } from "./sds-events.ts"
import type { Lease, SdsCall, SdsDeps } from "./sds-service.ts"
import { SdsStream } from "./sds-stream.ts"
import type { SecretEncoder } from "./secret-encoder.ts"
import type { Reply, Session } from "./session.ts"
import { SourceFeed } from "./source-feed.ts"

/** What both kinds of request say when a stream opens. */
export type OpeningRequest = Pick<DiscoveryRequest, "node" | "typeUrl">

/** How one RPC speaks. */
export interface StreamKind<Request extends OpeningRequest> {
  readonly door: SdsDoor
  readonly session: () => Session<Request>
  /** The names that a request asks for. */
  readonly names: (request: Request) => readonly string[]
  readonly encode: (reply: Reply) => Buffer
}

type TableDeps = Pick<SdsDeps, "openSource" | "words" | "validator" | "limits" | "clock" | "random"> & {
  readonly encoder: SecretEncoder
  readonly events: SdsEvents
}

/** All live streams of a service: opens, bounds, ages and ends them. Disposing ends them cleanly. */
export class StreamTable implements AsyncDisposable {
  readonly #deps: TableDeps
  readonly #live = new Set<LiveCall>()
  readonly #feeds = new Map<IdentitySource, SourceFeed>()
  readonly #releasing = new Set<Promise<unknown>>()
  readonly #timer: NodeJS.Timeout
  #stopped = false

  constructor(deps: TableDeps) {
    this.#deps = deps
    // One timer for all streams.
    this.#timer = setInterval(() => this.sweep(), SWEEP_EVERY)
    this.#timer.unref()
  }

  /** Serve `call` until either side ends it. */
  open<Request extends OpeningRequest>(call: ServerDuplexStream<Request, Buffer>, kind: StreamKind<Request>): void {
    const live: LiveCall = { end: (thrown) => end(call, thrown), closeAt: Number.POSITIVE_INFINITY, ended: false }
    this.#live.add(live)
    call.on("end", () => this.#end(live, "ended by the proxy"))
    call.on("cancelled", () => this.#end(live, "cancelled"))
    this.#admit(call, live).then(
      () => this.#listen(call, kind, live),
      (thrown: unknown) => this.#reject(live, kind.door, thrown),
    )
  }

  /** End what is too old, and stop waiting for answers that did not come in time. Runs every second. */
  sweep(): void {
    const now = this.#deps.clock.monotonic()
    for (const live of [...this.#live]) {
      if (live.closeAt <= now) this.#end(live, "too old")
      else live.stream?.giveUpWaiting(now - this.#deps.limits.answerWithin * 1000)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    for (const live of [...this.#live]) this.#end(live, "service stops")
    await Promise.all(this.#releasing)
  }

  async #admit(call: SdsCall, live: LiveCall): Promise<void> {
    if (this.#stopped) throw new IdentityError("not-ready", "service stops", { retryAfter: RETRY_AFTER })
    if (this.#live.size > this.#deps.limits.streams) {
      throw new IdentityError("rate-limited", "too many streams are open", { retryAfter: RETRY_AFTER })
    }
    const cancelled = new AbortController()
    live.abort = () => cancelled.abort()
    const lease = await this.#deps.openSource(call, cancelled.signal)
    delete live.abort
    live.lease = lease
    live.closeAt = this.#closeAt(lease)
    if (live.ended) return this.#release(live)
    lease.evicted?.throwIfAborted()
    live.evict = () => this.#end(live, "banned", lease.evicted?.reason)
    lease.evicted?.addEventListener("abort", live.evict)
  }

  #listen<Request extends OpeningRequest>(
    call: ServerDuplexStream<Request, Buffer>,
    kind: StreamKind<Request>,
    live: LiveCall,
  ): void {
    let stream: SdsStream<Request> | undefined
    call.on("data", (request: Request) => {
      if (live.ended) return
      try {
        requireSecretType(request.typeUrl)
        stream ??= this.#begin(call, kind, live, request)
        stream.receive(request)
      } catch (thrown) {
        this.#reject(live, kind.door, thrown)
      }
    })
  }

  #begin<Request extends OpeningRequest>(
    call: ServerDuplexStream<Request, Buffer>,
    kind: StreamKind<Request>,
    live: LiveCall,
    request: Request,
  ): SdsStream<Request> {
    const { encoder, events, clock, words } = this.#deps
    if (live.lease === undefined) throw new TypeError("stream without a lease")
    const { consumer, mode } = parseNodeFacts(request.node, call.getPeer(), this.#deps.validator)
    if (mode === "plain" && kind.names(request).includes(words.allBundles)) events.narrowed(consumer)
    const stream = new SdsStream(call, {
      door: kind.door,
      events,
      encode: kind.encode,
      now: () => clock.monotonic(),
      session: kind.session(),
      secrets: (view) => encoder(view, mode),
      feed: this.#feedOf(live.lease.source),
      consumerName: consumer,
    })
    live.stream = stream
    return stream
  }

  #feedOf(source: IdentitySource): SourceFeed {
    const known = this.#feeds.get(source)
    if (known !== undefined) return known
    const feed = new SourceFeed(source)
    this.#feeds.set(source, feed)
    return feed
  }

  #reject(live: LiveCall, door: SdsDoor, thrown: unknown): void {
    this.#deps.events.rejected(door, thrown)
    this.#end(live, "rejected", thrown)
  }

  /** @param thrown `undefined`: with status OK, on which Envoy comes back quietly */
  #end(live: LiveCall, why: string, thrown?: unknown): void {
    if (live.ended) return
    live.ended = true
    this.#live.delete(live)
    live.abort?.()
    live.stream?.leave(why)
    live.end(thrown)
    this.#release(live)
  }

  #release({ lease, evict }: LiveCall): void {
    if (lease === undefined) return
    if (evict !== undefined) lease.evicted?.removeEventListener("abort", evict)
    const feed = this.#feeds.get(lease.source)
    const idle = feed?.size === 0 ? feed : undefined
    if (idle !== undefined) this.#feeds.delete(lease.source)
    const done = Promise.allSettled([idle?.[Symbol.asyncDispose](), lease[Symbol.asyncDispose]()])
    this.#releasing.add(done)
    void forgetWhenDone(this.#releasing, done)
  }

  #closeAt(lease: Lease): Millis {
    const { clock, limits, random } = this.#deps
    const untilExpiry = lease.notAfter === undefined ? Number.POSITIVE_INFINITY : lease.notAfter - clock.now()
    const longest: Seconds = Math.min(untilExpiry, limits.streamAge ?? Number.POSITIVE_INFINITY)
    return clock.monotonic() + drawStreamAge(longest, random) * 1000
  }
}

/** A call and what hangs on it. */
interface LiveCall {
  readonly end: (thrown: unknown) => void
  /** Monotonic. */
  closeAt: Millis
  ended: boolean
  /** While the caller is attested. */
  abort?: () => void
  lease?: Lease
  /** Hears that the lease was taken away. */
  evict?: () => void
  stream?: { giveUpWaiting(deadline: Millis): void; leave(why: string): void }
}

async function forgetWhenDone(running: Set<Promise<unknown>>, done: Promise<unknown>): Promise<void> {
  await done
  running.delete(done)
}

function end<Request>(call: ServerDuplexStream<Request, Buffer>, thrown: unknown): void {
  if (thrown === undefined) call.end()
  else call.emit("error", toStatus(thrown))
}

const SWEEP_EVERY: Millis = 1000
const RETRY_AFTER: Seconds = 5
