import { TAG } from "./der.ts"
import { decodeOid } from "./oid.ts"
import { malformed } from "./refusal.ts"

/**
 * Reads a run of DER elements from front to back, strictly: lengths are definite and minimal, an element never reaches
 * beyond the one around it, and {@link DerReader.end} refuses what was left. Reading never copies; returned arrays are views.
 * Every method throws IdentityError `malformed`. @see DER-01..DER-09
 */
export class DerReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #at: number
  // Filled by #header: where the content of the element at #at begins and ends.
  #content = 0
  #next = 0

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  /** True when nothing is left. */
  get done(): boolean {
    return this.#at === this.#end
  }

  /** The tag of the next element, or -1 when nothing is left. */
  get tag(): number {
    return this.#at < this.#end ? (this.#bytes[this.#at] ?? -1) : -1
  }

  /** Refuses what was not read. */
  end(): void {
    if (this.#at !== this.#end) throw malformed("der-trailing", "DER has bytes after its last element")
  }

  /** A reader for the inside of the next element, which must have this tag. */
  enter(tag: number): DerReader {
    this.#expect(tag)
    this.#at = this.#next
    return new DerReader(this.#bytes, this.#content, this.#next)
  }

  /** The content of the next element, which must have this tag. */
  content(tag: number): Uint8Array {
    this.#expect(tag)
    this.#at = this.#next
    return this.#bytes.subarray(this.#content, this.#next)
  }

  /** The next element with its header; of this tag, when one is given. */
  element(tag?: number): Uint8Array {
    if (tag === undefined) this.#header()
    else this.#expect(tag)
    const start = this.#at
    this.#at = this.#next
    return this.#bytes.subarray(start, this.#next)
  }

  /** The content octets of an INTEGER in minimal form; may be negative. */
  integer(): Uint8Array {
    const value = this.content(TAG.integer)
    const first = value[0]
    if (first === undefined) throw malformed("der-integer", "DER INTEGER is empty")
    const second = value[1] ?? -1
    if ((first === 0 && second >= 0 && second < 0x80) || (first === 0xff && second >= 0x80)) {
      throw malformed("der-integer", "DER INTEGER is not minimal")
    }
    return value
  }

  /** An INTEGER between 0 and 2^31 - 1. */
  smallInteger(): number {
    const value = this.integer()
    if (value.length > 4 || (value[0] ?? 0) >= 0x80) throw malformed("der-integer", "DER INTEGER is out of range")
    return value.reduce((sum, octet) => sum * 256 + octet, 0)
  }

  /** An INTEGER above zero, as big-endian octets without the sign octet. */
  positiveInteger(): Uint8Array {
    const value = this.integer()
    const first = value[0] ?? 0
    if (first >= 0x80 || (value.length === 1 && first === 0))
      throw malformed("der-integer", "DER INTEGER is not positive")
    return first === 0 ? value.subarray(1) : value
  }

  boolean(): boolean {
    const value = this.content(TAG.boolean)
    if (value.length !== 1 || (value[0] !== 0 && value[0] !== 0xff)) {
      throw malformed("der-boolean", "DER BOOLEAN is neither 00 nor FF")
    }
    return value[0] === 0xff
  }

  /** An OBJECT IDENTIFIER in dotted form. */
  oid(): string {
    return decodeOid(this.content(TAG.oid))
  }

  /** A BIT STRING of whole octets. */
  bitString(): Uint8Array {
    const value = this.content(TAG.bitString)
    if (value[0] !== 0) throw malformed("der-bit-string", "DER BIT STRING is not of whole octets")
    return value.subarray(1)
  }

  /** A BIT STRING of named bits, at most 16, bit 0 as the highest of the result. Trailing zero bits are not DER. */
  namedBits(): number {
    const value = this.content(TAG.bitString)
    const unused = value[0] ?? 8
    const last = value[value.length - 1] ?? 0
    const minimal = value.length === 1 ? unused === 0 : unused < 8 && (last & ((2 << unused) - 1)) === 1 << unused
    if (value.length > 3 || !minimal) throw malformed("der-bit-string", "DER BIT STRING of named bits is not minimal")
    return ((value[1] ?? 0) << 8) | (value[2] ?? 0)
  }

  #expect(tag: number): void {
    if (this.#bytes[this.#at] !== tag && this.#at < this.#end) throw malformed("der-tag", "DER element has another tag")
    this.#header()
  }

  #header(): void {
    if (this.#at + 2 > this.#end) throw malformed("der-truncated", "DER ends inside an element")
    const bytes = this.#bytes
    if (((bytes[this.#at] ?? 0) & 0x1f) === 0x1f) throw malformed("der-tag", "DER tag has more than one octet")
    const first = bytes[this.#at + 1] ?? 0
    this.#content = this.#at + 2
    const length = first < 0x80 ? first : this.#longLength(first & 0x7f)
    this.#next = this.#content + length
    if (this.#next > this.#end) throw malformed("der-truncated", "DER element is longer than what holds it")
  }

  #longLength(octets: number): number {
    if (octets === 0) throw malformed("der-length", "DER length is indefinite")
    if (octets > 3) throw malformed("der-length", "DER length has more than three octets")
    if (this.#content + octets > this.#end) throw malformed("der-truncated", "DER ends inside a length")
    let length = 0
    for (let i = 0; i < octets; i++) length = length * 256 + (this.#bytes[this.#content + i] ?? 0)
    if (length < 0x80 || length < 2 ** (8 * (octets - 1))) throw malformed("der-length", "DER length is not minimal")
    this.#content += octets
    return length
  }
}
