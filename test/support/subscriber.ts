import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js"
import type { Snapshot, SubscribeRequest, SubscribeResponse } from "../../src/gen/assay/v1/identity.ts"
import { bearer, describeFailure, type Failure, type IdentityPeer } from "./identity-peer.ts"
import { until } from "./until.ts"

/** One Subscribe stream that sends only what it is told to. */
export class Subscriber implements Disposable {
  readonly snapshots: Snapshot[] = []
  /** Reasons of the evictions that came. */
  readonly evictions: string[] = []
  /** Keys to do without, as bans name them. */
  readonly evictedKeys: string[] = []
  readonly #stream: ClientDuplexStream<SubscribeRequest, SubscribeResponse>
  #failure: Failure | undefined
  #ended = false

  constructor(peer: IdentityPeer, token: string | undefined) {
    this.#stream = peer.client.subscribe(bearer(token))
    this.#stream.on("data", ({ message }: SubscribeResponse) => {
      if (message?.$case === "snapshot") this.snapshots.push(message.value)
      const directive = message?.$case === "directive" ? message.value.directive : undefined
      if (directive?.$case === "evict") this.evictions.push(directive.value.reason)
      if (directive?.$case === "evictKey") this.evictedKeys.push(directive.value.spkiSha256.toString("hex"))
    })
    this.#stream.on("error", (error: ServiceError) => {
      this.#failure = describeFailure(error)
    })
    this.#stream.on("status", () => {
      this.#ended = true
    })
  }

  send(message: SubscribeRequest["message"]): void {
    this.#stream.write({ message })
  }

  hello(agent = "test"): void {
    this.send({ $case: "hello", value: { agent, version: "1" } })
  }

  acknowledge(epoch: number, nackReason = ""): void {
    this.send({ $case: "ack", value: { epoch, nackReason } })
  }

  /** Read nothing until {@link resume}. */
  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  /** The newest snapshot once there are at least `count`. */
  async snapshot(count = 1): Promise<Snapshot> {
    await until(`snapshot ${count}`, () => this.snapshots.length >= count || this.#ended)
    const last = this.snapshots.at(-1)
    if (last === undefined || this.snapshots.length < count) throw new Error(`ended: ${JSON.stringify(this.#failure)}`)
    return last
  }

  /** How the stream ended: a failure, or `undefined` when it ended well. */
  async ended(): Promise<Failure | undefined> {
    await until("the end of the stream", () => this.#ended)
    return this.#failure
  }

  get isOpen(): boolean {
    return !this.#ended
  }

  /** Says that no more is sent. */
  finish(): void {
    this.#stream.end()
  }

  [Symbol.dispose](): void {
    this.#stream.cancel()
  }
}
