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
  #end: number
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
    this.#take(tag)
    return new DerReader(this.#bytes, this.#content, this.#next)
  }

  /** Go into the next element, which must have this tag and be the last one: this reader goes on inside. */
  enterLast(tag: number): this {
    this.#take(tag)
    this.end()
    this.#at = this.#content
    this.#end = this.#next
    return this
  }

  /** The content of the next element, which must have this tag. */
  content(tag: number): Uint8Array {
    this.#take(tag)
    return this.#bytes.subarray(this.#content, this.#next)
  }

  /** The next element with its header; of this tag, when one is given. */
  element(tag?: number): Uint8Array {
    const start = this.#at
    this.skip(tag)
    return this.#bytes.subarray(start, this.#next)
  }

  /** Go past the next element; of this tag, when one is given. */
  skip(tag?: number): void {
    if (tag === undefined) this.#header()
    else this.#expect(tag)
    this.#at = this.#next
  }

  /** The content octets of an INTEGER in minimal form; may be negative. */
  integer(): Uint8Array {
    this.#takeInteger()
    return this.#bytes.subarray(this.#content, this.#next)
  }

  /** An INTEGER between 0 and 2^31 - 1. */
  smallInteger(): number {
    this.#takeInteger()
    if (this.#next - this.#content > 4 || this.#octet(0) >= 0x80)
      throw malformed("der-integer", "DER INTEGER is out of range")
    let value = 0
    for (let i = this.#content; i < this.#next; i++) value = value * 256 + (this.#bytes[i] ?? 0)
    return value
  }

  /** An INTEGER above zero, as big-endian octets without the sign octet. */
  positiveInteger(): Uint8Array {
    this.#takeInteger()
    const first = this.#octet(0)
    const isZero = first === 0 && this.#next - this.#content === 1
    if (first >= 0x80 || isZero) throw malformed("der-integer", "DER INTEGER is not positive")
    return this.#bytes.subarray(first === 0 ? this.#content + 1 : this.#content, this.#next)
  }

  boolean(): boolean {
    this.#take(TAG.boolean)
    const value = this.#octet(0)
    if (this.#next - this.#content !== 1 || (value !== 0 && value !== 0xff)) {
      throw malformed("der-boolean", "DER BOOLEAN is neither 00 nor FF")
    }
    return value === 0xff
  }

  /** An OBJECT IDENTIFIER in dotted form. */
  oid(): string {
    this.#take(TAG.oid)
    return decodeOid(this.#bytes, this.#content, this.#next)
  }

  /** A BIT STRING of whole octets. */
  bitString(): Uint8Array {
    this.#take(TAG.bitString)
    if (this.#content === this.#next || this.#octet(0) !== 0)
      throw malformed("der-bit-string", "DER BIT STRING is not of whole octets")
    return this.#bytes.subarray(this.#content + 1, this.#next)
  }

  /** A BIT STRING of named bits, at most 16, bit 0 as the highest of the result. Trailing zero bits are not DER. */
  namedBits(): number {
    this.#take(TAG.bitString)
    const length = this.#next - this.#content
    const unused = length === 0 ? 8 : this.#octet(0)
    const last = length === 0 ? 0 : this.#octet(length - 1)
    const minimal = length === 1 ? unused === 0 : unused < 8 && (last & ((2 << unused) - 1)) === 1 << unused
    if (length > 3 || !minimal) throw malformed("der-bit-string", "DER BIT STRING of named bits is not minimal")
    return (this.#octet(1) << 8) | this.#octet(2)
  }

  /** Go past the next element, which must have this tag; its content lies between #content and #next. */
  #take(tag: number): void {
    this.#expect(tag)
    this.#at = this.#next
  }

  #takeInteger(): void {
    this.#take(TAG.integer)
    const length = this.#next - this.#content
    if (length === 0) throw malformed("der-integer", "DER INTEGER is empty")
    if (length === 1) return
    const first = this.#octet(0)
    const isNegative = this.#octet(1) >= 0x80
    if ((first === 0 && !isNegative) || (first === 0xff && isNegative)) {
      throw malformed("der-integer", "DER INTEGER is not minimal")
    }
  }

  /** The octet at `index` of the content, 0 beyond it. */
  #octet(index: number): number {
    const at = this.#content + index
    return at < this.#next ? (this.#bytes[at] ?? 0) : 0
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
