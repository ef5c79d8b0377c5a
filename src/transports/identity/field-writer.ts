/** Writes fields of a protobuf message, of numbers up to 15, into one buffer whose size was added up before. */
export class FieldWriter {
  readonly bytes: Buffer
  #at = 0

  /** @param size of all that will be written, octets */
  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size)
  }

  /** Begin a field of `size` octets, which follow. */
  open(field: number, size: number): void {
    this.bytes[this.#at++] = (field << 3) | LENGTH_DELIMITED
    this.#varint(size)
  }

  text(field: number, text: string): void {
    if (text === "") return
    this.open(field, Buffer.byteLength(text))
    this.#at += this.bytes.write(text, this.#at)
  }

  blob(field: number, bytes: Uint8Array): void {
    this.open(field, bytes.length)
    this.bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** @param value a safe integer that is not negative */
  number(field: number, value: number): void {
    if (value === 0) return
    this.bytes[this.#at++] = field << 3
    this.#varint(value)
  }

  #varint(value: number): void {
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.bytes[this.#at++] = (rest % 0x80) | 0x80
    this.bytes[this.#at++] = rest
  }
}

/** Octets of a field with so many octets in it. */
export function sizeOfField(length: number): number {
  return 1 + sizeOfVarint(length) + length
}

/** Nothing is written for an empty text. */
export function sizeOfText(text: string): number {
  return text === "" ? 0 : sizeOfField(Buffer.byteLength(text))
}

/** Nothing is written for 0. @throws RangeError for what {@link FieldWriter.number} cannot write */
export function sizeOfNumber(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError("not a safe integer, or negative")
  return value === 0 ? 0 : 1 + sizeOfVarint(value)
}

function sizeOfVarint(value: number): number {
  let size = 1
  for (let rest = value; rest >= 0x80; rest /= 0x80) size++
  return size
}

const LENGTH_DELIMITED = 2
