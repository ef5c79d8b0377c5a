import { type JsonEvent, JsonPeer, runToEnd } from "./json-lines.ts"
import { peerFile } from "./peer.ts"

/** Flags of test/peers/load, without the dash; see its main.go. `true` is a flag without a value. */
export type LoadFlags = Readonly<Record<string, string | number | true>>

export type LoadMode = "issue-x509" | "batch-x509" | "issue-jwt" | "form" | "spire"

/** What one measured run did. */
export interface LoadResult {
  /** Certificates or tokens. */
  readonly count: number
  readonly errors: number
  readonly firstError: string
  readonly seconds: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** The keys made ahead did not last for the whole time; `seconds` says how long they did. */
  readonly keysExhausted: boolean
}

/** Measure one mode. @throws Error with the client's message when it fails */
export async function runLoad(mode: LoadMode, flags: LoadFlags, millis: number): Promise<LoadResult> {
  const command = await peerFile("load", "load")
  const { code, events, error } = await runToEnd({ name: `load ${mode}`, command, args: argsOf(mode, flags) }, millis)
  const result = events.find((event) => event.event === "result")
  if (code !== 0 || result === undefined) throw new Error(error)
  return {
    count: numberOf(result, "count"),
    errors: numberOf(result, "errors"),
    firstError: typeof result["first_error"] === "string" ? result["first_error"] : "",
    seconds: numberOf(result, "seconds"),
    perSecond: numberOf(result, "per_second"),
    p50Ms: numberOf(result, "p50_ms"),
    p99Ms: numberOf(result, "p99_ms"),
    keysExhausted: result["keys_exhausted"] === true,
  }
}

/** All streams have acknowledged what came after a mark. */
export interface FanOut {
  readonly acked: number
  /** Streams that ended by themselves. */
  readonly ended: number
  /** From the mark to the last acknowledgement. */
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Many SDS streams, held open. */
export class SdsFleet implements AsyncDisposable {
  readonly #peer: JsonPeer

  constructor(peer: JsonPeer) {
    this.#peer = peer
  }

  /** Begin to count: what the streams acknowledge from now on. `version` waits for exactly that version. */
  async mark(millis: number, version = ""): Promise<() => Promise<FanOut>> {
    const from = this.#peer.events.length
    this.#peer.write(`mark ${version}`.trim())
    await this.#peer.waitFor((event) => event.event === "marked", millis, from)
    return async () => fanOut(await this.#peer.waitFor(isOutcome, millis, from))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peer[Symbol.asyncDispose]()
  }
}

/** Open the streams and wait until each has acknowledged a first response. */
export async function startSdsFleet(flags: LoadFlags, millis: number): Promise<{ fleet: SdsFleet; opened: FanOut }> {
  const peer = new JsonPeer({ name: "load sds", command: await peerFile("load", "load"), args: argsOf("sds", flags) })
  const fleet = new SdsFleet(peer)
  try {
    return { fleet, opened: fanOut(await peer.waitFor(isOutcome, millis)) }
  } catch (failure) {
    await fleet[Symbol.asyncDispose]()
    throw failure
  }
}

/** What became of subscribers whose streams ended, and who asked for a renewal at once. */
export interface Parted {
  /** From the mark to the answer to the last renewal. */
  readonly seconds: number
  /** How many went how: why the stream ended and why the renewal was refused, after `evicted` if it was told so. */
  readonly outcomes: Readonly<Record<string, number>>
}

/** Many subscriptions of `assay.v1.Identity`, one for each token, held open until the server ends them. */
export class SubscriberFleet implements AsyncDisposable {
  readonly #peer: JsonPeer

  constructor(peer: JsonPeer) {
    this.#peer = peer
  }

  /** Begin to count; what is returned waits until all of them have parted. */
  async mark(millis: number): Promise<() => Promise<Parted>> {
    this.#peer.write("mark")
    await this.#peer.waitFor(({ event }) => event === "marked", millis)
    return async () => parted(await this.#peer.waitFor(isParted, millis))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peer[Symbol.asyncDispose]()
  }
}

/** Open the subscriptions and wait until each has a snapshot. */
export async function startSubscriberFleet(flags: LoadFlags, millis: number): Promise<SubscriberFleet> {
  const args = argsOf("subscribe", flags)
  const peer = new JsonPeer({ name: "load subscribe", command: await peerFile("load", "load"), args })
  try {
    await peer.waitFor(({ event }) => event === "ready", millis)
    return new SubscriberFleet(peer)
  } catch (failure) {
    await peer[Symbol.asyncDispose]()
    throw failure
  }
}

function isParted({ event }: JsonEvent): boolean {
  return event === "parted" || event === "error"
}

function parted(event: JsonEvent): Parted {
  const outcomes: unknown = event["outcomes"]
  if (typeof outcomes !== "object" || outcomes === null) throw new Error(`load subscribe: ${JSON.stringify(event)}`)
  const counts = Object.entries(outcomes).map(([way, count]: [string, unknown]) => [way, Number(count)] as const)
  return { seconds: numberOf(event, "seconds"), outcomes: Object.fromEntries(counts) }
}

function isOutcome(event: JsonEvent): boolean {
  return event.event === "ready" || event.event === "acked" || event.event === "timeout" || event.event === "error"
}

function fanOut(event: JsonEvent): FanOut {
  if (event.event === "timeout" || event.event === "error") throw new Error(`load sds: ${JSON.stringify(event)}`)
  return {
    acked: numberOf(event, "acked"),
    ended: numberOf(event, "ended"),
    seconds: numberOf(event, "seconds"),
    p50Ms: numberOf(event, "p50_ms"),
    p99Ms: numberOf(event, "p99_ms"),
  }
}

function argsOf(mode: string, flags: LoadFlags): string[] {
  const pairs = Object.entries(flags).map(([name, value]) => (value === true ? `-${name}` : `-${name}=${value}`))
  return ["-mode", mode, ...pairs]
}

function numberOf(event: JsonEvent, name: string): number {
  const value = event[name]
  if (typeof value !== "number") throw new TypeError(`load: no number ${name} in ${JSON.stringify(event)}`)
  return value
}
