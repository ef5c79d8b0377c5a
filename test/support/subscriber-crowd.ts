import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js"
import type { SubscribeRequest, SubscribeResponse } from "../../src/gen/assay/v1/identity.ts"
import { bearer, describeFailure, IdentityPeer, isServiceError, proveFreshKey } from "./identity-peer.ts"

/** What became of one subscriber after its stream had ended. */
export interface Parting {
  /** It was told to evict, before its stream ended. */
  readonly evicted: boolean
  /** Why its stream ended; empty when it ended well. */
  readonly reason: string
  /** What its renewal came to, which it asked for at once: `issued`, or the reason of the refusal. */
  readonly renewal: string
  /** When it knew that, as `performance.now()`. */
  readonly at: number
}

export interface CrowdOptions {
  readonly server: { readonly address: string; readonly roots: string }
  /** One for each subscriber. */
  readonly tokens: readonly string[]
  readonly connections: number
}

/** Many subscriptions, each of which tries to renew its certificate as soon as its stream ends. Wakes nobody by polling. */
export class SubscriberCrowd implements Disposable {
  /** Resolves when all of them have a snapshot. */
  readonly ready: Promise<unknown>
  /** Resolves when the stream of each has ended, and its renewal as well. */
  readonly partings: Promise<readonly Parting[]>
  readonly #peers: readonly IdentityPeer[]
  readonly #streams: ClientDuplexStream<SubscribeRequest, SubscribeResponse>[] = []

  constructor({ server, tokens, connections }: CrowdOptions) {
    this.#peers = Array.from({ length: connections }, () => new IdentityPeer(server))
    const members = tokens.map((token, i) => this.#subscribe(this.#peerOf(i), token))
    this.ready = Promise.all(members.map(({ ready }) => ready))
    this.partings = Promise.all(members.map(({ parting }) => parting))
  }

  #subscribe(peer: IdentityPeer, token: string) {
    const stream = peer.client.subscribe(bearer(token))
    this.#streams.push(stream)
    const ready = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<string>()
    // Made before: keys are no part of what is measured.
    const key = keyFor(token)
    let evicted = false
    stream.on("data", ({ message }: SubscribeResponse) => {
      if (message?.$case === "snapshot") ready.resolve()
      evicted ||= message?.$case === "directive" && message.value.directive?.$case === "evict"
    })
    stream.on("error", (error: ServiceError) => ended.resolve(describeFailure(error).reason))
    stream.on("end", () => ended.resolve(""))
    stream.write({ message: { $case: "hello", value: { agent: "crowd", version: "1" } } })
    const parting = ended.promise.then(async (reason): Promise<Parting> => {
      ready.reject(new Error(`a stream ended: ${reason}`))
      const renewal = await outcomeOf(peer.x509({ key }, token))
      return { evicted, reason, renewal, at: performance.now() }
    })
    return { ready: ready.promise, parting }
  }

  #peerOf(index: number): IdentityPeer {
    const peer = this.#peers[index % this.#peers.length]
    if (peer === undefined) throw new RangeError("a crowd needs a connection")
    return peer
  }

  /** Ends those that are left. */
  [Symbol.dispose](): void {
    for (const stream of this.#streams) stream.cancel()
    for (const peer of this.#peers) peer[Symbol.dispose]()
  }
}

function keyFor(token: string) {
  const { publicKey, proof } = proveFreshKey(token)
  return { $case: "provenKey" as const, value: { publicKey, proof } }
}

async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
    return "issued"
  } catch (thrown) {
    return isServiceError(thrown) ? describeFailure(thrown).reason : String(thrown)
  }
}
