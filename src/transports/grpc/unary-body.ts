/** A status that ends a call. */
export interface Refusal {
  readonly code: number
  readonly details: string
}

/** The body of a unary request: one message behind its five octets of framing. Holds no more than that, and one chunk. */
export class UnaryBody {
  readonly #maxBytes: number
  #chunks: Buffer[] = []
  #length = 0
  #expected: number | undefined

  /** @param maxBytes largest message */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Why the call ends here, if it does. */
  take(chunk: Buffer): Refusal | undefined {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#length < FRAME) return undefined
    this.#expected ??= this.#whole().readUInt32BE(1)
    if (this.#expected > this.#maxBytes) {
      const details = `Received message larger than max (${this.#expected} vs ${this.#maxBytes})`
      return { code: RESOURCE_EXHAUSTED, details }
    }
    if (this.#length <= FRAME + this.#expected) return undefined
    return { code: UNIMPLEMENTED, details: "Received a second request message for a unary method" }
  }

  /** The message once the request has ended. */
  end(): Buffer | Refusal {
    if (this.#expected === undefined || this.#length !== FRAME + this.#expected) {
      return { code: UNIMPLEMENTED, details: "Received no request message for a unary method" }
    }
    const whole = this.#whole()
    if (whole[0] !== 0) return { code: INTERNAL, details: "Received a compressed message without grpc-encoding" }
    return whole.subarray(FRAME)
  }

  #whole(): Buffer {
    const [first] = this.#chunks
    if (first !== undefined && this.#chunks.length === 1) return first
    const whole = Buffer.concat(this.#chunks)
    this.#chunks = [whole]
    return whole
  }
}

/** A message with its framing, not compressed. */
export function frameMessage(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(FRAME + message.length)
  framed[0] = 0
  framed.writeUInt32BE(message.length, 1)
  framed.set(message, FRAME)
  return framed
}

/** A flag, and the length in four octets. */
const FRAME = 5
const RESOURCE_EXHAUSTED = 8
const UNIMPLEMENTED = 12
const INTERNAL = 13
