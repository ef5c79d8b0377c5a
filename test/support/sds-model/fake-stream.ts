import { EventEmitter } from "node:events"
import { Metadata, type ServerDuplexStream } from "@grpc/grpc-js"

/** The server's end of a stream, without a wire: a test sends, reads, and decides when what was written has left. */
export class FakeStream<Request, Message = Buffer> extends EventEmitter {
  readonly metadata = new Metadata()
  /** It has no more room for what is written until it is set free. */
  isBlocked = false
  /** `undefined` while it lives; a gRPC status then. */
  status: number | undefined
  /** The other side ended it. */
  isLeft = false
  readonly #onWrite: (message: Message) => void
  #written: (() => void) | undefined

  constructor(onWrite: (message: Message) => void) {
    super()
    this.#onWrite = onWrite
    this.on("error", (error: { readonly code: number }) => {
      this.status ??= error.code
    })
  }

  /** As the handlers of the library know it. */
  get asCall(): ServerDuplexStream<Request, Message> {
    return this as unknown as ServerDuplexStream<Request, Message> // the members that handlers use
  }

  getPeer(): string {
    return "unix:"
  }

  getPath(): string {
    return "/test"
  }

  getAuthContext(): object {
    return {}
  }

  write(message: Message, written: () => void): boolean {
    if (this.#written !== undefined) throw new Error("two writes at once")
    this.#onWrite(message)
    this.#written = written
    if (!this.isBlocked) this.#flushSoon()
    return !this.isBlocked
  }

  end(): void {
    this.status ??= 0
  }

  free(): void {
    this.isBlocked = false
    this.#flushSoon()
  }

  /** The other side ends it. */
  leave(how: "cancelled" | "end"): void {
    this.isLeft = true
    this.status = how === "end" ? 0 : 1
    this.emit(how)
  }

  send(request: Request): void {
    this.emit("data", request)
  }

  #flushSoon(): void {
    queueMicrotask(() => {
      const written = this.#written
      this.#written = undefined
      written?.()
    })
  }
}
