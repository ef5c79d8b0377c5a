import { setImmediate } from "node:timers/promises"
import type { IdentitySource, IdentityView } from "../../app/deliver/identity-source.ts"
import { Consumer, type ConsumerStream } from "./consumer.ts"

/** What a feed needs of each of its streams. */
export interface FedStream extends ConsumerStream {
  /** Replace what there is to send, without sending it. */
  publish(view: IdentityView): void
}

/** One watcher of a source for all streams that read from it. */
export class SourceFeed {
  readonly #source: IdentitySource
  readonly #streams = new Map<FedStream, string>()
  readonly #consumers = new Map<string, { readonly consumer: Consumer; streams: number }>()
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  /** A change is on its way to the streams, and not all of them know it. */
  #isChanging = false

  constructor(source: IdentitySource) {
    this.#source = source
    this.#ended = this.#run()
  }

  get size(): number {
    return this.#streams.size
  }

  /** Count `stream` to the consumer of this name, and give it what there is. */
  join(stream: FedStream, name: string): Consumer {
    const known = this.#consumers.get(name)
    const entry = known ?? { consumer: this.#newConsumer(name), streams: 0 }
    entry.streams += 1
    this.#consumers.set(name, entry)
    this.#streams.set(stream, name)
    return entry.consumer
  }

  leave(stream: FedStream): void {
    const name = this.#streams.get(stream)
    const entry = name === undefined ? undefined : this.#consumers.get(name)
    if (name === undefined || entry === undefined) return
    this.#streams.delete(stream)
    entry.consumer.leave(stream)
    entry.streams -= 1
    if (entry.streams === 0) this.#consumers.delete(name)
  }

  /** What there is to send now; nothing while the source waits or was denied. @see PIT-07 */
  get view(): IdentityView | undefined {
    const state = this.#source.current()
    return state.kind === "ready" ? state.view : undefined
  }

  /** Stop watching. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#ended
  }

  async #run(): Promise<void> {
    const signal = this.#stop.signal
    while (!signal.aborted) {
      const change = this.#source.changed(signal)
      await this.#publish()
      await change
    }
  }

  async #publish(): Promise<void> {
    const view = this.view
    if (view === undefined) return
    // All streams know the new view before a certificate of it is sent, so that those wait for the trust of their proxy. @see SDS-18
    this.#isChanging = true
    await this.#each((stream) => stream.publish(view))
    this.#isChanging = false
    await this.#each((stream) => stream.pump())
  }

  #newConsumer(name: string): Consumer {
    return new Consumer(
      name,
      (report) => this.#source.observed(name, report),
      () => this.#isChanging,
    )
  }

  /** Those of now: who joins meanwhile has begun with what there is then, which may be newer. @see SDS-21 */
  async #each(visit: (stream: FedStream) => void): Promise<void> {
    let visited = 0
    for (const stream of [...this.#streams.keys()]) {
      visit(stream)
      visited += 1
      // Ten thousand streams must not keep the event loop from everything else, and what is written leaves before more is.
      if (visited % BATCH === 0) await setImmediate()
    }
  }
}

const BATCH = 16
