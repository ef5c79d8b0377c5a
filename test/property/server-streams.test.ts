import assert from "node:assert/strict"
import { after, test } from "node:test"
import { credentials } from "@grpc/grpc-js"
import fc from "fast-check"
import { SecretDiscoveryServiceClient } from "../../src/gen/envoy/service/secret/v3/sds.ts"
import { banishing } from "../support/ban-order.ts"
import { IdentityPeer } from "../support/identity-peer.ts"
import { openSecretStream, type SecretStream } from "../support/secret-stream.ts"
import { openServerUnderTest } from "../support/server-under-test.ts"
import { Subscriber } from "../support/subscriber.ts"
import { until } from "../support/until.ts"

const server = await openServerUnderTest()
after(() => server[Symbol.asyncDispose]())
const peer = new IdentityPeer(server)
after(() => peer[Symbol.dispose]())
const secrets = new SecretDiscoveryServiceClient(server.address, credentials.createSsl(Buffer.from(server.roots)), {
  "grpc.ssl_target_name_override": "localhost",
})
after(() => secrets.close())
const { trust, bans } = server.pipeline
const { ban, lift } = banishing(bans, server.clock)
const NAMES = ["cart", "web", "mail"] as const

type Step =
  | { readonly kind: "subscribe" | "sds" | "ban" | "lift"; readonly name: number }
  | { readonly kind: "pause" | "resume" | "ack" | "nack" | "cancel"; readonly which: number }
  | { readonly kind: "change" }

/** A subscription, and whether it has to be told that its identity is banned. */
interface Subscribed {
  readonly name: string
  readonly subscriber: Subscriber
  isBanned: boolean
}

/** Streams of few identities at one server, and who of them is banned. */
class Streams {
  readonly #subscribed: Subscribed[] = []
  readonly #proxied: { readonly name: string; readonly stream: SecretStream; isBanned: boolean }[] = []
  readonly #banned = new Set<string>()

  async take(step: Step): Promise<void> {
    if (step.kind === "change") await trust.update((record) => ({ ...record, epoch: record.epoch + 1 }))
    else if ("name" in step) await this.#takeFor(NAMES[step.name % NAMES.length] ?? assert.fail(), step.kind)
    else this.#say(step)
  }

  /** Whoever is banned has ended for that; everybody else knows the newest. */
  async settle(): Promise<void> {
    const { epoch } = trust.snapshot()
    for (const { subscriber, isBanned } of this.#subscribed) {
      subscriber.resume()
      if (isBanned) {
        const failure = await subscriber.ended()
        assert.deepEqual([failure?.status, failure?.reason], [7, "banned"])
      } else await until("the newest", () => subscriber.snapshots.at(-1)?.epoch === epoch)
      const epochs = subscriber.snapshots.map((snapshot) => snapshot.epoch)
      assert.deepEqual(
        epochs,
        epochs.toSorted((a, b) => a - b),
        "an older snapshot after a newer one",
      )
    }
    for (const { stream, isBanned } of this.#proxied) {
      await until("its secrets, or its end", () => (isBanned ? stream.code !== undefined : stream.secrets.length >= 2))
      assert.equal(stream.code, isBanned ? 7 : undefined)
    }
    const live = this.#subscribed.filter(({ isBanned }) => !isBanned).length
    await until("the others to be forgotten", () => server.listeners.subscribers.rows.length === live + this.#sources)
  }

  async end(): Promise<void> {
    for (const { subscriber } of this.#subscribed) subscriber[Symbol.dispose]()
    for (const { stream } of this.#proxied) stream.call.cancel()
    for (const name of this.#banned) await lift("identity", idOf(name))
    await until("all streams to be gone", () => server.listeners.subscribers.rows.length === 0)
  }

  /** A proxy at remote SDS subscribes by itself. */
  get #sources(): number {
    return this.#proxied.filter(({ isBanned }) => !isBanned).length
  }

  async #takeFor(name: string, kind: "subscribe" | "sds" | "ban" | "lift"): Promise<void> {
    const isBanned = this.#banned.has(name)
    const token = server.setup.token({ serviceAccount: name })
    if (kind === "subscribe") {
      const subscriber = new Subscriber(peer, token)
      subscriber.hello()
      this.#subscribed.push({ name, subscriber, isBanned })
    } else if (kind === "sds") this.#proxied.push({ name, stream: openSecretStream(secrets, token), isBanned })
    else if (kind === "lift" && isBanned) {
      await this.#known()
      this.#banned.delete(name)
      await lift("identity", idOf(name))
    } else if (kind === "ban" && !isBanned) {
      this.#banned.add(name)
      for (const one of [...this.#subscribed, ...this.#proxied]) if (one.name === name) one.isBanned = true
      await ban("identity", idOf(name))
    }
  }

  /** Before a ban ends, whom it concerns has heard of it; who comes late would not any more. */
  async #known(): Promise<void> {
    for (const { subscriber, isBanned } of this.#subscribed) {
      if (!isBanned) continue
      subscriber.resume()
      await subscriber.ended()
    }
    const banned = this.#proxied.filter(({ isBanned }) => isBanned)
    await until("the ends of the banned", () => banned.every(({ stream }) => stream.code !== undefined))
  }

  #say({ kind, which }: Extract<Step, { readonly which: number }>): void {
    const index = which % Math.max(1, this.#subscribed.length)
    const one = this.#subscribed[index]
    if (one === undefined) return
    const { subscriber } = one
    if (kind === "pause") subscriber.pause()
    else if (kind === "resume") subscriber.resume()
    else if (kind === "cancel") {
      subscriber[Symbol.dispose]()
      this.#subscribed.splice(index, 1)
    } else if (!one.isBanned) {
      subscriber.acknowledge(subscriber.snapshots.at(-1)?.epoch ?? 0, kind === "nack" ? "cannot" : "")
    }
  }
}

function idOf(name: string): string {
  return `spiffe://prod.example/ns/shop/sa/${name}`
}

const which = fc.nat({ max: 20 })
const name = fc.nat({ max: 2 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("subscribe" as const, "sds" as const), name }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("ban" as const, "lift" as const), name }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("pause" as const, "resume" as const, "ack" as const, "nack" as const, "cancel" as const),
      which,
    }),
  },
  { weight: 4, arbitrary: fc.constant({ kind: "change" as const }) },
)

test("subscriptions and proxies at a server know the newest in the end, never go back, and end when they are banned", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25, size: "max" }), async (path) => {
      const streams = new Streams()
      for (const one of path) await streams.take(one)
      await streams.settle()
      await streams.end()
    }),
    { seed: 1, numRuns: 15, endOnFailure: true },
  )
})
