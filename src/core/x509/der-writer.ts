import { headerOctets, writeHeader } from "./der.ts"

/**
 * Writes DER from back to front, so that the length of an element is known when its header is written and nothing is copied
 * twice. For what is written often; elsewhere `encodeDer` reads better.
 */
export class DerWriter {
  readonly #bytes: Uint8Array
  #at: number

  /** @param capacity octets that are enough for everything */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity)
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

  /** Make one element of all that was written since it was at `end`. */
  wrap(tag: number, end: number): void {
    const length = end - this.#at
    const at = this.#at - headerOctets(length)
    writeHeader(this.#bytes, at, tag, length)
    this.#at = at
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#bytes.slice(this.#at)
  }
}
