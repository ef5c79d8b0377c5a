/** Bytes that no log line, JSON body or inspect call can print. Zeroing is best effort in a garbage-collected runtime. */
export class Secret implements Disposable {
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Lend the bytes to `use`, which must not keep them. */
  expose<T>(use: (bytes: Uint8Array) => T): T {
    return use(this.#bytes)
  }

  toJSON(): string {
    return "[secret]"
  }

  toString(): string {
    return "[secret]"
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[secret]"
  }

  [Symbol.dispose](): void {
    this.#bytes.fill(0)
  }
}
