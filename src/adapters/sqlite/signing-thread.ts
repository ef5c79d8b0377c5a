import type { KeyObject } from "node:crypto"
import { extname } from "node:path"
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads"
import { joinBytes } from "../../core/bytes.ts"
import { ThreadLoad } from "./thread-load.ts"

/** To be signed by a key of P-256, in the form of JOSE. */
export interface Unsigned {
  readonly key: KeyObject
  readonly data: Uint8Array
}

/** The same on their way: `bytes` is all data, of these `lengths`. A key that travels is a handle; its number stays where it is. */
export interface SigningRequest {
  readonly keys: readonly KeyObject[]
  readonly lengths: readonly number[]
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** With a signature for each, in order; or with `undefined` when there will be none. */
export type Signed = (signatures: readonly Uint8Array[] | undefined) => void

/**
 * A second thread that signs, for the store's: while it signs the tokens of one group, the next is committed. It starts when there
 * is first enough for two, and keeps no key. Whatever it does not sign is given back: when it ends, the store's thread signs alone.
 */
export class SigningThread {
  readonly #load: Pick<ThreadLoad, "isHigh" | "lighten">
  readonly #startThread: StartThread
  readonly #handed: { readonly count: number; signed: Signed | undefined }[] = []
  #port: MessagePort | undefined
  #worker: Worker | undefined
  #state: "none" | "starting" | "ready" | "ended" = "none"
  #open = 0

  /** @param load of the thread that asks: less than a high one is left to it */
  constructor(load: Pick<ThreadLoad, "isHigh" | "lighten"> = new ThreadLoad(), startThread: StartThread = startWorker) {
    this.#load = load
    this.#startThread = startThread
  }

  /** Whether it takes these; then `signed` is called once, and not before this returned. */
  take(unsigned: readonly Unsigned[], signed: Signed): boolean {
    const count = unsigned.length
    if (count < FEWEST || this.#open + count > MAX_OPEN || !this.#load.isHigh || !this.#isReady()) return false
    const data = unsigned.map((one) => one.data)
    const lengths = data.map(({ length }) => length)
    const request: SigningRequest = { keys: unsigned.map(({ key }) => key), lengths, bytes: joinBytes(data) }
    this.#port?.postMessage(request, [request.bytes.buffer])
    this.#handed.push({ count, signed })
    this.#open += count
    this.#load.lighten(count * SIGNATURE_MICROS)
    return true
  }

  /** Take what it has signed by now, however many messages of others wait in this thread. */
  drain(): void {
    while (this.#handed.length > 0 && this.#port !== undefined) {
      const received: { readonly message: Uint8Array } | undefined = receiveMessageOnPort(this.#port)
      if (received === undefined) return
      this.#settle(received.message)
    }
  }

  /** Give back what it has not signed by now. Its signatures, should there be any, are dropped. */
  recall(): void {
    this.drain()
    for (const handed of this.#handed) {
      const { signed } = handed
      handed.signed = undefined
      signed?.(undefined)
    }
  }

  end(): void {
    this.recall()
    this.#state = "ended"
    void this.#worker?.terminate()
  }

  #isReady(): boolean {
    if (this.#state === "none") this.#start()
    return this.#state === "ready"
  }

  #start(): void {
    this.#state = "starting"
    const { port1, port2 } = new MessageChannel()
    let worker: Worker
    try {
      worker = this.#startThread(port2)
    } catch {
      // Without room for one more thread nothing is lost but its help. @see STO-09
      port1.close()
      this.end()
      return
    }
    worker.once("online", () => {
      if (this.#state === "starting") this.#state = "ready"
    })
    worker.on("error", () => this.end())
    worker.on("exit", () => this.end())
    port1.on("message", (signatures: Uint8Array) => this.#settle(signatures))
    worker.unref()
    port1.unref()
    this.#worker = worker
    this.#port = port1
  }

  #settle(signatures: Uint8Array): void {
    const handed = this.#handed.shift()
    if (handed === undefined) return
    this.#open -= handed.count
    handed.signed?.(Array.from({ length: handed.count }, (_, index) => signatureAt(signatures, index)))
  }
}

/** @throws Error of Node when the machine has no room for one more thread */
type StartThread = (port: MessagePort) => Worker

function startWorker(port: MessagePort): Worker {
  const file = new URL(`./signing-worker${extname(import.meta.filename)}`, import.meta.url)
  return new Worker(file, { workerData: port, transferList: [port] })
}

/** Each has 64 octets. */
export function signatureAt(signatures: Uint8Array, index: number): Uint8Array {
  return signatures.subarray(index * SIGNATURE_OCTETS, (index + 1) * SIGNATURE_OCTETS)
}

export const SIGNATURE_OCTETS = 64
/** About. */
const SIGNATURE_MICROS = 25
/** Fewer are signed sooner than another thread wakes up. */
const FEWEST = 8
/** Some milliseconds of work; beyond that the store's thread signs, too. */
const MAX_OPEN = 128
