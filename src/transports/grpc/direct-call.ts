import { hash } from "node:crypto"
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2"
import type { TLSSocket } from "node:tls"
import { Metadata, type MetadataValue, type MethodDefinition } from "@grpc/grpc-js"
import type { Millis } from "../../core/time.ts"
import { frameMessage, UnaryBody } from "./unary-body.ts"
import type { HandleUnary, UnaryCall, UnaryReply } from "./unary-call.ts"

/** A method that is served on the HTTP/2 stream itself. */
export interface DirectMethod {
  readonly definition: MethodDefinition<unknown, unknown>
  readonly handle: HandleUnary<unknown, unknown>
}

/** Whether a call is of the common form. What is not, such as a compressed one, is the library's. */
export function isPlain(headers: IncomingHttpHeaders): boolean {
  const type = headers["content-type"]
  if (type !== "application/grpc" && type !== "application/grpc+proto") return false
  if ((headers["grpc-encoding"] ?? "identity") !== "identity") return false
  const timeout = headers["grpc-timeout"]
  return timeout === undefined || (typeof timeout === "string" && TIMEOUT.test(timeout))
}

/**
 * One unary call: its request is read up to `maxBytes`, handled once it has ended, and answered once. It is cancelled when the
 * caller goes away or its deadline passes before the answer.
 */
export class DirectCall implements UnaryCall<unknown> {
  request: unknown
  readonly metadata: Pick<Metadata, "get">
  readonly #stream: ServerHttp2Stream
  readonly #method: DirectMethod
  readonly #body: UnaryBody
  readonly #cancelled: (() => void)[] = []
  #deadline: NodeJS.Timeout | undefined
  #answered = false

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, method: DirectMethod, maxBytes: number) {
    this.#stream = stream
    this.#method = method
    this.#body = new UnaryBody(maxBytes)
    this.metadata = { get: (name) => valuesOf(headers, name) }
    const timeout = headers["grpc-timeout"]
    if (typeof timeout === "string") this.#deadline = setTimeout(() => this.#expire(), millisOf(timeout))
    stream.on("error", ignore) // "close" follows
    stream.on("data", (chunk: Buffer) => this.#take(chunk))
    stream.on("end", () => this.#run())
    stream.on("close", () => this.#close())
  }

  once(_event: "cancelled", listener: () => void): void {
    this.#cancelled.push(listener)
  }

  get shown(): string | undefined {
    // On TLS it is one of these; what HTTP/2 hands out in its place answers for it.
    const socket = this.#stream.session?.socket as Partial<TLSSocket> | undefined
    const certificate = socket?.getCertificate?.()
    return certificate && "raw" in certificate ? hash("sha256", certificate.raw, "hex") : undefined
  }

  #take(chunk: Buffer): void {
    if (this.#answered) return // the rest of what was refused
    const refusal = this.#body.take(chunk)
    if (refusal !== undefined) this.#refuse(refusal.code, refusal.details)
  }

  #run(): void {
    if (this.#answered) return
    const message = this.#body.end()
    if (!Buffer.isBuffer(message)) this.#refuse(message.code, message.details)
    else if (this.#parse(message)) this.#method.handle(this, this.#reply)
  }

  #parse(message: Buffer): boolean {
    try {
      this.request = this.#method.definition.requestDeserialize(message)
      return true
    } catch {
      this.#refuse(INTERNAL, "Error deserializing request")
      return false
    }
  }

  readonly #reply: UnaryReply<unknown> = (error, value) => {
    if (this.#answered) return
    if (error === null) this.#send(value)
    else this.#refuse(error.code ?? UNKNOWN, error.details ?? "", error.metadata)
  }

  #send(value: unknown): void {
    let message: Buffer
    try {
      message = frameMessage(this.#method.definition.responseSerialize(value))
    } catch {
      this.#refuse(INTERNAL, "Error serializing response")
      return
    }
    this.#accept(message)
  }

  #accept(message: Buffer): void {
    if (!this.#mayAnswer()) return
    this.#stream.respond(RESPONSE, WITH_TRAILERS)
    this.#stream.on("wantTrailers", sendOk)
    this.#stream.end(message)
  }

  #refuse(code: number, details: string, metadata?: Metadata): void {
    if (!this.#mayAnswer()) return
    const status = {
      ":status": 200,
      "content-type": CONTENT_TYPE,
      "grpc-status": `${code}`,
      "grpc-message": encodeURI(details.toWellFormed()),
      ...metadata?.toHttp2Headers(),
    }
    this.#stream.respond(status, STATUS_ALONE)
  }

  /** Once. A stream that was reset can be gone before it says so, and to respond on it would throw. */
  #mayAnswer(): boolean {
    if (this.#stream.destroyed || this.#stream.closed) return false
    this.#answered = true
    return true
  }

  #expire(): void {
    if (this.#answered) return
    this.#refuse(DEADLINE_EXCEEDED, "Deadline exceeded")
    this.#cancel()
  }

  #close(): void {
    clearTimeout(this.#deadline)
    if (this.#answered) return
    this.#answered = true
    this.#cancel()
  }

  /** Comes after an answer, or in place of one, so at most once. */
  #cancel(): void {
    for (const listener of this.#cancelled.splice(0)) listener()
  }
}

/** As {@link Metadata} has them, which is not made for a plain text. */
function valuesOf(headers: IncomingHttpHeaders, name: string): MetadataValue[] {
  const value = headers[name]
  if (typeof value === "string" && !name.endsWith(BINARY)) return [value]
  return Metadata.fromHttp2Headers({ [name]: value }).get(name)
}

function sendOk(this: ServerHttp2Stream): void {
  this.sendTrailers(OK)
}

function ignore(): void {}

function millisOf(timeout: string): Millis {
  const unit = UNITS.get(timeout.slice(-1)) ?? 0
  return Math.min(Number(timeout.slice(0, -1)) * unit, LONGEST)
}

const TIMEOUT = /^\d{1,8}[HMSmun]$/
const UNITS: ReadonlyMap<string, Millis> = new Map([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1000],
  ["m", 1],
  ["u", 0.001],
  ["n", 0.000_001],
])
/** Of a timer. */
const LONGEST: Millis = 0x7fffffff
const BINARY = "-bin"
const CONTENT_TYPE = "application/grpc+proto"
/** Names and values in turn. No more than a client needs: nothing is compressed, and no date is asked for. */
const RESPONSE: readonly string[] = [":status", "200", "content-type", CONTENT_TYPE]
const WITH_TRAILERS = { waitForTrailers: true, sendDate: false } as const
const STATUS_ALONE = { endStream: true, sendDate: false } as const
const OK = { "grpc-status": "0" } as const
const UNKNOWN = 2
const DEADLINE_EXCEEDED = 4
const INTERNAL = 13
