import type { ClientDuplexStream, Metadata } from "@grpc/grpc-js"
import { type IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Hello, SubscribeRequest, SubscribeResponse } from "../../gen/assay/v1/identity.ts"
import type { AuthorityUpdate, ConsumerReport, Subscription } from "../../ports/identity-authority.ts"
import type { Log } from "../../ports/telemetry.ts"
import type { Lease } from "./channel.ts"
import { clip, encodeConsumer, MAX_REASON, parseUpdate } from "./messages.ts"

export interface StreamTerms {
  readonly lease: () => Promise<Lease>
  /** Call credentials, read anew for each stream. */
  readonly authorization: () => Promise<Metadata>
  /** The roots of a bundle that was adopted. */
  readonly adopted: (roots: readonly Uint8Array[]) => void
  readonly reached: () => void
  readonly explain: (thrown: unknown) => Promise<IdentityError>
  readonly log: Log
  readonly hello: Hello
}

/** One Subscribe stream. It opens when its updates are read, and is over when they are. */
export class StreamSubscription implements Subscription {
  readonly #terms: StreamTerms
  readonly #signal: AbortSignal
  #stream: ClientDuplexStream<SubscribeRequest, SubscribeResponse> | undefined
  /** What was reported before the stream was open. */
  #early: { readonly consumers: readonly ConsumerReport[]; readonly unlisted: number } | undefined
  #newest: (AuthorityUpdate & { readonly kind: "snapshot" }) | undefined

  constructor(terms: StreamTerms, signal: AbortSignal) {
    this.#terms = terms
    this.#signal = signal
  }

  get updates(): AsyncIterable<AuthorityUpdate> {
    return this.#read()
  }

  acknowledge(epoch: number, nackReason: string | undefined): void {
    const value = { epoch, nackReason: clip(nackReason ?? "", MAX_REASON) }
    this.#send({ message: { $case: "ack", value } })
    const newest = this.#newest?.snapshot
    if (nackReason === undefined && newest?.epoch === epoch) this.#terms.adopted(newest.own.x509Authorities)
  }

  report(consumers: readonly ConsumerReport[], unlisted: number): void {
    if (this.#stream === undefined) this.#early = { consumers, unlisted }
    else this.#send({ message: { $case: "report", value: { consumers: consumers.map(encodeConsumer), unlisted } } })
  }

  async *#read(): AsyncGenerator<AuthorityUpdate, void, void> {
    const metadata = await this.#terms.authorization()
    using lease = await this.#terms.lease()
    if (this.#signal.aborted) return
    const stream = lease.client.subscribe(metadata)
    const cancel = (): void => stream.cancel()
    this.#signal.addEventListener("abort", cancel)
    try {
      this.#stream = stream
      this.#send({ message: { $case: "hello", value: this.#terms.hello } })
      if (this.#early !== undefined) this.report(this.#early.consumers, this.#early.unlisted)
      for await (const response of stream) {
        this.#terms.reached()
        const update = this.#parse(response as SubscribeResponse) // the generated client decodes nothing else
        if (update === undefined) continue
        if (update.kind === "snapshot") this.#newest = update
        yield update
      }
    } catch (thrown) {
      if (!this.#signal.aborted) throw await this.#terms.explain(thrown)
    } finally {
      this.#stream = undefined
      this.#signal.removeEventListener("abort", cancel)
      // The stream may fail once more while it is torn down, and then nobody listens.
      stream.on("error", () => undefined)
      stream.cancel()
    }
  }

  /** A snapshot that cannot be read is refused and the stream goes on: the next one may be well. @see AGT-15 */
  #parse(response: SubscribeResponse): AuthorityUpdate | undefined {
    try {
      return parseUpdate(response)
    } catch (thrown) {
      const error = toIdentityError(thrown)
      const { message } = response
      if (error.code !== "malformed" || message?.$case !== "snapshot") throw error
      this.#terms.log.warn({ err: error, epoch: message.value.epoch }, "snapshot cannot be read: refused")
      this.acknowledge(message.value.epoch, `cannot be read: ${error.message}`)
      return undefined
    }
  }

  /** What cannot be written any more is of no use to a server that has gone. */
  #send(request: SubscribeRequest): void {
    if (this.#stream?.writable === true) this.#stream.write(request)
  }
}
