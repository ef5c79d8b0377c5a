import assert from "node:assert/strict"
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "../../../src/gen/envoy/service/discovery/v3/discovery.ts"
import { DeltaSession } from "../../../src/transports/sds/delta-session.ts"
import { encodeDeltaResponse, encodeDiscoveryResponse } from "../../../src/transports/sds/discovery-wire.ts"
import { SDS_BOUNDS } from "../../../src/transports/sds/sds-bounds.ts"
import { makeSdsEvents } from "../../../src/transports/sds/sds-events.ts"
import { SPIRE_WORDS } from "../../../src/transports/sds/secret-names.ts"
import { SotwSession } from "../../../src/transports/sds/sotw-session.ts"
import { StreamTable } from "../../../src/transports/sds/stream-table.ts"
import { FakeClock } from "../fake-clock.ts"
import { quietLog } from "../quiet-log.ts"
import { ModelProxy } from "./proxy.ts"
import { type Change, SdsWorld } from "./world.ts"

/** What happens next. Numbers choose among what there is then. */
export type SdsStep =
  | { readonly kind: "open"; readonly sotw: boolean; readonly consumer: number; readonly names: readonly string[] }
  | { readonly kind: "answer-all" }
  | { readonly kind: "pass-time" }
  | { readonly kind: "change"; readonly change: Change }
  | { readonly kind: "rest"; readonly turns: number }
  | ProxyStep

/** Of one that is there. */
type ProxyStep =
  | { readonly kind: "ask"; readonly proxy: number; readonly names: readonly string[] }
  | { readonly kind: "ask-again"; readonly proxy: number; readonly name: string }
  | { readonly kind: "answer"; readonly proxy: number; readonly which: number; readonly refused: boolean }
  | { readonly kind: "cancel"; readonly proxy: number }
  | { readonly kind: "half-close"; readonly proxy: number }
  | { readonly kind: "free"; readonly proxy: number }
  | { readonly kind: "block"; readonly proxy: number }
  | { readonly kind: "stale"; readonly proxy: number }

/** Proxies on one SDS service over one source, and what each of them must have seen. */
export class SdsMesh implements AsyncDisposable {
  readonly world = new SdsWorld()
  readonly #clock = new FakeClock(1000)
  readonly #table: StreamTable
  readonly #proxies: ModelProxy[] = []
  #leases = 0

  constructor() {
    const metrics = { streams: () => undefined, pushed: () => undefined, answered: () => undefined }
    this.#table = new StreamTable({
      openSource: async () => {
        this.#leases += 1
        return {
          source: this.world.source,
          [Symbol.asyncDispose]: async () => {
            this.#leases -= 1
          },
        }
      },
      words: SPIRE_WORDS,
      validator: "spiffe",
      limits: { ...SDS_BOUNDS, streams: 1000, streamAge: undefined },
      clock: this.#clock,
      random: (bytes) => new Uint8Array(bytes),
      encoder: this.world.encoder,
      events: makeSdsEvents(quietLog, metrics),
    })
    this.world.source.onReport = (consumer, { epoch }) => {
      const behind = this.#live.some((proxy) => proxy.consumer === consumer && proxy.isBehind(epoch))
      if (behind) this.world.failures.push(new Error(`${consumer} is said to hold epoch ${epoch}, and does not`))
    }
  }

  async take(step: SdsStep): Promise<void> {
    if (step.kind === "open") await this.#open(step.sotw ? "sotw" : "delta", `envoy-${step.consumer}`, step.names)
    else if (step.kind === "change") this.world.change(step.change)
    else if (step.kind === "answer-all") this.#answerAll()
    else if (step.kind === "pass-time") await this.#passTime()
    else if (step.kind === "rest") await rest(step.turns)
    else this.#takeBy(step)
  }

  #answerAll(): void {
    for (const proxy of this.#live.filter(({ stream }) => !stream.isBlocked)) {
      while (proxy.unanswered.length > 0) proxy.answer(0, false)
    }
  }

  /** As much as nobody is waited for. */
  async #passTime(): Promise<void> {
    for (const proxy of this.#live) {
      if (proxy.unanswered.length > 0 || proxy.stream.isBlocked) proxy.isGivenUp = true
    }
    await this.#clock.advance(6)
    this.#table.sweep()
  }

  /** Everybody reads and answers until nothing comes; then each must hold what there is. */
  async settle(): Promise<void> {
    if (!this.world.isReady) this.world.change("back")
    for (const proxy of this.#live) proxy.stream.free()
    for (let before = -1; before !== this.#messages; ) {
      before = this.#messages
      await rest(8)
      this.#answerAll()
    }
    if (this.world.failures.length > 0) throw this.world.failures[0]
    for (const { stream } of this.#proxies)
      assert.ok(stream.isLeft || stream.status === undefined, "a stream was ended")
    for (const proxy of this.#live) this.#demandNewest(proxy)
    for (const consumer of new Set(this.#live.map((proxy) => proxy.consumer))) this.#demandReport(consumer)
  }

  /** Nothing is left of whoever was there. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#table[Symbol.asyncDispose]()
    assert.deepEqual([this.#leases, this.world.source.reports.size, this.world.source.waiting], [0, 0, 0])
  }

  get #live(): readonly ModelProxy[] {
    return this.#proxies.filter(({ isLive }) => isLive)
  }

  get #messages(): number {
    return this.#proxies.reduce((sum, { messages }) => sum + messages, 0)
  }

  async #open(kind: "sotw" | "delta", consumer: string, names: readonly string[]): Promise<void> {
    const proxy = new ModelProxy(kind, consumer, this.world, (who, name, version) => {
      const others = this.#live.filter((other) => other.consumer === who.consumer && other !== who && !other.isGivenUp)
      const states = this.world.statesOf(name, version)
      const isDue = states.some((state) => !others.some((other) => other.hasTrustPending(state)))
      assert.ok(isDue, `${name} before the trust that its peers need`)
    })
    this.#proxies.push(proxy)
    const { asCall } = proxy.stream
    if (kind === "sotw") {
      this.#table.open<DiscoveryRequest>(asCall as never, {
        door: "sotw",
        session: () => new SotwSession(SDS_BOUNDS),
        names: ({ resourceNames }) => resourceNames,
        encode: encodeDiscoveryResponse,
      })
    } else {
      this.#table.open<DeltaDiscoveryRequest>(asCall as never, {
        door: "delta",
        session: () => new DeltaSession(SDS_BOUNDS),
        names: ({ resourceNamesSubscribe }) => resourceNamesSubscribe,
        encode: encodeDeltaResponse,
      })
    }
    while (proxy.stream.listenerCount("data") === 0) await Promise.resolve()
    proxy.ask(names)
  }

  #takeBy(step: ProxyStep): void {
    const live = this.#live
    const proxy = live[step.proxy % Math.max(1, live.length)]
    if (proxy === undefined) return
    const { stream } = proxy
    if (step.kind === "cancel") stream.leave("cancelled")
    else if (step.kind === "half-close") stream.leave("end")
    else if (step.kind !== "free") this.#say(proxy, step)
    else if (stream.isBlocked) stream.free()
  }

  /** Whoever does not read says nothing about what it did not read. */
  #say(proxy: ModelProxy, step: Exclude<ProxyStep, { readonly kind: "cancel" | "half-close" | "free" }>): void {
    if (proxy.stream.isBlocked) return
    if (step.kind === "block") proxy.stream.isBlocked = true
    else if (step.kind === "ask") proxy.ask(step.names)
    else if (step.kind === "ask-again") proxy.askAgain(step.name)
    else if (step.kind === "stale") proxy.answerStale()
    else if (proxy.unanswered.length > 0) proxy.answer(step.which, step.refused)
  }

  #demandNewest(proxy: ModelProxy): void {
    for (const name of proxy.names) {
      const { newest } = this.world
      const isWaitedFor = this.world.isGone(name, newest) && !proxy.holds.has(name) && !proxy.had.has(name)
      const wanted = isWaitedFor ? undefined : this.world.versionAt(name, newest)
      if (wanted !== undefined || proxy.kind === "delta") assert.equal(proxy.holds.get(name), wanted, name)
    }
  }

  #demandReport(consumer: string): void {
    const streams = this.#live.filter((proxy) => proxy.consumer === consumer && proxy.holds.size > 0)
    const isRefusing = streams.some(({ holds, refused }) => [...refused].some(([name, v]) => holds.get(name) === v))
    const report = this.world.source.reports.get(consumer)
    if (streams.length === 0) assert.equal(report, undefined)
    else if (isRefusing) assert.notEqual(report?.nackReason, undefined)
    else assert.deepEqual([report?.epoch, report?.nackReason], [this.world.epoch, undefined])
  }
}

async function rest(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}
