import { X509Certificate } from "node:crypto"
import { setTimeout as delay } from "node:timers/promises"
import { openWorkloadClient } from "../../src/adapters/workload-client/workload-client.ts"
import { toIdentityError } from "../../src/core/errors.ts"
import { parseWorkloadEndpoint } from "../../src/core/spiffe/endpoint.ts"
import type { X509Material } from "../../src/ports/workload-api.ts"
import { until } from "./until.ts"

/** One SVID as a workload saw it. */
export interface SeenSvid {
  readonly serial: string
  /** Milliseconds that it had left when it came. */
  readonly left: number
  /** Leaf first, DER. */
  readonly chain: readonly Uint8Array[]
  /** The roots beside it, DER as hex. */
  readonly bundle: readonly string[]
}

/**
 * A workload that keeps watching the Workload API on a socket, as clients do: when its stream fails, it notes why and comes
 * back shortly after.
 */
export class WatchedWorkload implements AsyncDisposable {
  /** The default identity of each message, in order. */
  readonly seen: SeenSvid[] = []
  /** Code of each failure, in order. */
  readonly failures: string[] = []
  /** True while its last message stands. */
  served = false
  readonly #stop = new AbortController()
  readonly #watching: Promise<void>

  constructor(socket: string) {
    this.#watching = this.#watch(`unix://${socket}`)
  }

  /** Wait until an SVID is served that was not among the first `known` ones. */
  async renewed(known: number, millis: number): Promise<SeenSvid> {
    const fresh = () => this.seen.slice(known).find(({ serial }) => !this.#serials(known).has(serial))
    await until("a new SVID", () => this.served && fresh() !== undefined, millis)
    const found = fresh()
    if (found === undefined) throw new Error("the SVID is gone")
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#watching
  }

  #serials(count: number): ReadonlySet<string> {
    return new Set(this.seen.slice(0, count).map(({ serial }) => serial))
  }

  async #watch(address: string): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      using api = openWorkloadClient(parseWorkloadEndpoint(address))
      try {
        for await (const material of api.watchX509(signal)) this.#note(material)
      } catch (thrown) {
        this.failures.push(toIdentityError(thrown).code)
      }
      this.served = false
      await delay(RETRY_MILLIS, undefined, { signal }).catch(() => undefined)
    }
  }

  #note({ svids: [first] }: X509Material): void {
    const chain = first?.chain ?? []
    const leaf = new X509Certificate(chain[0] ?? new Uint8Array())
    const bundle = first?.bundle.map((der) => Buffer.from(der).toString("hex")) ?? []
    this.seen.push({ serial: leaf.serialNumber, left: leaf.validToDate.getTime() - Date.now(), chain, bundle })
    this.served = true
  }
}

const RETRY_MILLIS = 100
