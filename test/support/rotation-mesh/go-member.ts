import { startGoSpiffe } from "../peers/go-spiffe.ts"
import { type JsonEvent, type JsonPeer, textOf } from "../peers/json-lines.ts"
import type { FailedCall } from "./traffic.ts"

/** An unmodified go-spiffe client that serves members of the mesh and calls them, each call a handshake of its own. */
export class GoMember implements AsyncDisposable {
  readonly name: string
  readonly port: number
  readonly #peer: JsonPeer

  private constructor(name: string, port: number, peer: JsonPeer) {
    this.name = name
    this.port = port
    this.#peer = peer
  }

  static async start(name: string, socket: string): Promise<GoMember> {
    const peer = await startGoSpiffe("mesh", socket)
    try {
      const port = numberOf(await peer.waitFor(({ event }) => event === "listening", READY_MILLIS), "port")
      return new GoMember(name, port, peer)
    } catch (failure) {
      await peer[Symbol.asyncDispose]()
      throw failure
    }
  }

  call(port: number, id: string): void {
    this.#peer.write(`call https://127.0.0.1:${port}/ ${id}`)
  }

  /** How many calls succeeded so far. */
  async succeeded(): Promise<number> {
    const from = this.#peer.events.length
    this.#peer.write("count")
    return numberOf(await this.#peer.waitFor(({ event }) => event === "count", READY_MILLIS, from), "succeeded")
  }

  get failures(): readonly FailedCall[] {
    const failed = this.#peer.events.filter(({ event }) => event === "failed")
    return failed.map((event) => ({
      from: this.name,
      to: textOf(event, "to").split("/").at(-1) ?? "",
      began: numberOf(event, "began"),
      ended: numberOf(event, "ended"),
      problem: textOf(event, "message"),
    }))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#peer[Symbol.asyncDispose]()
  }
}

function numberOf(event: JsonEvent, name: string): number {
  const value = event[name]
  if (typeof value !== "number") throw new TypeError(`no number ${name} in ${JSON.stringify(event)}`)
  return value
}

const READY_MILLIS = 60_000
