import { headerOctets, writeHeader } from "./der.ts"

/**
 * Writes DER from back to front, so that the length of an element is known when its header is written and nothing is copied
 * twice. For what is written often; elsewhere `encodeDer` reads better.
 */
export class DerWriter {
  readonly #bytes: Buffer
  #at: number

  /** @param capacity octets that are enough for everything */
  constructor(capacity: number) {
    // Of the pool: a fresh array of this size costs as much as all that is written to it.
    this.#bytes = Buffer.allocUnsafe(capacity)
    this.#at = capacity
  }

  /** Where the next octets will end: what {@link wrap} takes. */
  get end(): number {
    return this.#at
  }

  /** Put `octets` before what was written so far. @throws RangeError when the capacity does not suffice */
  put(octets: Uint8Array): void {
    const at = this.#at - octets.length
    this.#bytes.set(octets, at)
    this.#at = at
  }

  /** @throws RangeError as {@link put} */
  putOctet(octet: number): void {
    if (this.#at === 0) throw new RangeError("DER does not fit")
    this.#bytes[--this.#at] = octet
  }

  /** The octets of a text that is known to be ASCII. @throws RangeError as {@link put} */
  putAscii(text: string): void {
    const at = this.#at - text.length
    if (at < 0) throw new RangeError("DER does not fit")
    this.#bytes.write(text, at, "latin1")
    this.#at = at
  }

  /** Make one element of all that was written since it was at `end`. */
  wrap(tag: number, end: number): void {
    const length = end - this.#at
    const at = this.#at - headerOctets(length)
    writeHeader(this.#bytes, at, tag, length)
    this.#at = at
  }

  /** What was written: a view, so whoever sends it to another thread copies it first. */
  finish(): Uint8Array {
    const { buffer, byteOffset, length } = this.#bytes
    return new Uint8Array(buffer, byteOffset + this.#at, length - this.#at)
  }
}
