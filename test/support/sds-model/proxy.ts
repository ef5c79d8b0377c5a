import assert from "node:assert/strict"
import { Secret } from "../../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts"
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from "../../../src/gen/envoy/service/discovery/v3/discovery.ts"
import { FakeStream } from "./fake-stream.ts"
import { type SdsWorld, TRUST_NAMES } from "./world.ts"

/** A response that the proxy has not answered. */
interface Unanswered {
  readonly nonce: string
  /** But for what it was told, or told itself, to forget. */
  readonly versions: Map<string, string>
}

/** One stream of a proxy, which holds each response against what it may be. */
export class ModelProxy {
  readonly kind: "sotw" | "delta"
  readonly consumer: string
  readonly stream: FakeStream<DiscoveryRequest | DeltaDiscoveryRequest>
  readonly names = new Set<string>()
  /** By name, the version that came last. */
  readonly holds = new Map<string, string>()
  /** By name, the version that was answered last. */
  readonly answered = new Map<string, string>()
  /** By name, the version that was taken last. */
  readonly taken = new Map<string, string>()
  readonly refused = new Map<string, string>()
  unanswered: Unanswered[] = []
  /** It was given up to wait for what it does not answer or read. */
  isGivenUp = false
  /** What it had when it asked for it again. */
  readonly had = new Set<string>()
  messages = 0
  /** The earliest state that what came last can be of. */
  #state = 0
  readonly #world: SdsWorld
  readonly #mayReplace: (proxy: ModelProxy, name: string, version: string) => void

  /** @param mayReplace throws when this certificate may not take another one's place now */
  constructor(
    kind: "sotw" | "delta",
    consumer: string,
    world: SdsWorld,
    mayReplace: (proxy: ModelProxy, name: string, version: string) => void,
  ) {
    this.kind = kind
    this.consumer = consumer
    this.#world = world
    this.#mayReplace = mayReplace
    this.stream = new FakeStream((bytes) => {
      try {
        this.#received(bytes)
      } catch (error) {
        // The service takes what a write throws for the stream's end.
        world.failures.push(error)
      }
    })
  }

  get isLive(): boolean {
    return this.stream.status === undefined
  }

  /** Ask for exactly these names. */
  ask(names: readonly string[]): void {
    // In state-of-the-world this is an answer, and answers come in order.
    while (this.kind === "sotw" && this.unanswered.length > 1) this.answer(0, false)
    const before = [...this.names]
    for (const name of before) {
      if (names.includes(name)) continue
      this.#forget(name)
      this.had.delete(name)
    }
    this.names.clear()
    for (const name of names) this.names.add(name)
    const added = names.filter((name) => !before.includes(name))
    const removed = before.filter((name) => !names.includes(name))
    if (this.kind === "sotw") this.#sendSotw(this.#lastNonce, undefined)
    else this.#sendDelta({ resourceNamesSubscribe: added, resourceNamesUnsubscribe: removed })
  }

  /** Ask for what it has already, as a proxy does that lost it. */
  askAgain(name: string): void {
    if (this.kind === "sotw" || !this.names.has(name)) return
    if (this.holds.has(name)) this.had.add(name)
    this.#forget(name)
    this.#sendDelta({ resourceNamesSubscribe: [name] })
  }

  /** @param which of those that it did not answer; in state-of-the-world they are answered in order */
  answer(which: number, isRefused: boolean): void {
    const response = this.unanswered[this.kind === "sotw" ? 0 : which % this.unanswered.length]
    if (response === undefined) return
    this.unanswered = this.unanswered.filter((one) => one !== response)
    for (const [name, version] of response.versions) {
      // Of what it does not hold any more it says nothing.
      if (this.holds.get(name) !== version) continue
      if (!isRefused) this.#take(name, version)
      else {
        this.answered.set(name, version)
        this.refused.set(name, version)
      }
    }
    const errorDetail = isRefused ? { code: 3, message: "no", details: [] } : undefined
    if (this.kind === "sotw") this.#sendSotw(response.nonce, errorDetail)
    else this.#sendDelta({ responseNonce: response.nonce, errorDetail })
    if (this.unanswered.length === 0 && !this.stream.isBlocked) this.isGivenUp = false
  }

  /** With a nonce of another stream. */
  answerStale(): void {
    if (this.kind === "sotw") this.#sendSotw("777", undefined)
    else this.#sendDelta({ responseNonce: "777" })
  }

  /** A trust that it holds was not answered as it was in this state or a later one. */
  hasTrustPending(state: number): boolean {
    return [...this.names].some((name) => {
      if (!TRUST_NAMES.has(name) || !this.holds.has(name)) return false
      const wanted = this.#world.versionAt(name, state)
      const answered = this.answered.get(name)
      return wanted !== undefined && !(answered !== undefined && this.#world.isOfOrAfter(state, name, answered))
    })
  }

  /** It has a trust that is older than an epoch had it, and that no later one was without. */
  isBehind(epoch: number): boolean {
    const state = this.#world.views.findIndex(({ snapshot }) => snapshot.epoch >= epoch)
    return [...this.taken].some(
      ([name, version]) =>
        TRUST_NAMES.has(name) &&
        !this.#world.isOfOrAfter(state, name, version) &&
        !this.#world.isOfOrAfter(state, name, undefined),
    )
  }

  #received(bytes: Buffer): void {
    assert.ok(this.isLive, "a response after the end")
    assert.ok(this.#world.isReady, "a response while there is no identity")
    const response = this.kind === "sotw" ? DiscoveryResponse.decode(bytes) : DeltaDiscoveryResponse.decode(bytes)
    this.messages += 1
    const delta = "removedResources" in response ? response : undefined
    for (const name of delta?.removedResources ?? []) {
      assert.ok(this.holds.has(name), `${name} was removed, and was not there`)
      this.#forget(name)
    }
    const secrets = response.resources.map((resource) => {
      const { value } = "resource" in resource ? (resource.resource ?? assert.fail("no resource")) : resource
      return Secret.decode(value)
    })
    const versions = new Map(secrets.map((secret) => [secret.name, this.#checked(secret)]))
    assert.equal(versions.size, secrets.length, "a secret twice in a response")
    assert.ok(versions.size > 0 || (delta?.removedResources.length ?? 0) > 0, "an empty response")
    this.#demandState(versions)
    for (const [name, version] of versions) this.holds.set(name, version)
    this.unanswered.push({ nonce: response.nonce, versions })
  }

  /** @returns its version */
  #checked({ name, type }: Secret): string {
    assert.ok(this.names.has(name), `${name} was not asked for`)
    const view = this.#world.views.findLastIndex((_, state) => this.#isOf(state, name, type))
    const version = this.#world.versionAt(name, view) ?? assert.fail(`${name} is of no state: a key without its chain?`)
    assert.notEqual(version, this.holds.get(name), `${name} came twice`)
    const isWithdrawn = this.#world.isGone(name, view)
    assert.ok(!isWithdrawn || this.holds.has(name) || this.had.has(name), `${name} was withdrawn, and was not there`)
    if (!TRUST_NAMES.has(name) && this.holds.has(name)) this.#mayReplace(this, name, version)
    return version
  }

  #isOf(state: number, name: string, type: Secret["type"]): boolean {
    const resource = this.#world.secretAt(name, state)?.resource
    if (resource === undefined) return false
    const wanted = Secret.encode({ name, type }).finish()
    return Buffer.from(resource).includes(wanted)
  }

  /** All of a response is of one state, and none is older than what came before. */
  #demandState(versions: ReadonlyMap<string, string>): void {
    const fits = (state: number) => [...versions].every(([name, v]) => this.#world.versionAt(name, state) === v)
    for (let state = this.#state; state <= this.#world.newest; state++) {
      if (!fits(state)) continue
      this.#state = state
      return
    }
    assert.fail(`a response goes back behind state ${this.#state}: ${[...versions.keys()].join(" ")}`)
  }

  #forget(name: string): void {
    this.holds.delete(name)
    this.answered.delete(name)
    this.taken.delete(name)
    this.refused.delete(name)
    for (const { versions } of this.unanswered) versions.delete(name)
  }

  get #lastNonce(): string {
    return this.messages === 0 ? "" : String(this.messages)
  }

  #sendSotw(responseNonce: string, errorDetail: DiscoveryRequest["errorDetail"]): void {
    if (responseNonce === this.#lastNonce && errorDetail === undefined) this.#acknowledgedAll()
    const node = { id: this.consumer }
    this.stream.send(DiscoveryRequest.fromPartial({ node, resourceNames: [...this.names], responseNonce, errorDetail }))
  }

  /** A request of state-of-the-world with the newest nonce acknowledges, whatever else it says. */
  #acknowledgedAll(): void {
    for (const { versions } of this.unanswered) {
      for (const [name, version] of versions) if (this.holds.get(name) === version) this.#take(name, version)
    }
    this.unanswered = []
    if (!this.stream.isBlocked) this.isGivenUp = false
  }

  #take(name: string, version: string): void {
    this.refused.delete(name)
    this.answered.set(name, version)
    this.taken.set(name, version)
  }

  #sendDelta(request: Parameters<typeof DeltaDiscoveryRequest.fromPartial>[0]): void {
    this.stream.send(DeltaDiscoveryRequest.fromPartial({ node: { id: this.consumer }, ...request }))
  }
}
