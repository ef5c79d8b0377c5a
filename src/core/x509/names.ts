import { asciiOctets, encodeDer, encodeSequence, TAG } from "./der.ts"
import { DerReader } from "./der-reader.ts"
import { encodeOid, OID } from "./oid.ts"
import { malformed } from "./refusal.ts"

/** Subject of an authority. Two authorities never share one, since some verifiers find issuers by name. @see RINV-09 */
export interface AuthorityName {
  /** 1 to 64 characters. */
  readonly organization?: string
  /** 1 to 64 characters. */
  readonly commonName: string
  /** Tells authorities apart that share the rest: 1 to 64 characters of PrintableString. */
  readonly serialNumber?: string
}

/** Encode a Name. @throws RangeError for a part outside its bounds */
export function encodeName(name: AuthorityName): Uint8Array {
  const parts: Uint8Array[] = []
  if (name.organization !== undefined) parts.push(attribute(OID.organization, utf8(name.organization)))
  parts.push(attribute(OID.commonName, utf8(name.commonName)))
  if (name.serialNumber !== undefined) parts.push(attribute(OID.serialNumber, printable(name.serialNumber)))
  return encodeSequence(...parts)
}

/**
 * Check a Name of a stranger: at most 16 relative names of at most 4 attributes, each a UTF8String, PrintableString or
 * IA5String of 1 to 256 octets that is well formed and holds no NUL. @throws IdentityError `malformed`, reason `name` @see CSR-05
 */
export function checkName(element: Uint8Array): void {
  const name = new DerReader(element).enterLast(TAG.sequence)
  for (let count = 0; !name.done; count++) {
    if (count === MAX_RDNS) throw malformed("name", "name has more than 16 parts")
    checkRdn(name.enter(TAG.set))
  }
}

function checkRdn(rdn: DerReader): void {
  if (rdn.done) throw malformed("name", "name has an empty part")
  for (let count = 0; !rdn.done; count++) {
    if (count === MAX_ATTRIBUTES) throw malformed("name", "part of a name has more than 4 attributes")
    const pair = rdn.enter(TAG.sequence)
    pair.oid()
    checkText(pair)
    pair.end()
  }
}

function checkText(pair: DerReader): void {
  const tag = pair.tag
  const shape = tag === TAG.utf8String ? undefined : tag === TAG.printableString ? PRINTABLE : IA5
  const value = pair.content(tag === TAG.utf8String || tag === TAG.printableString ? tag : TAG.ia5String)
  if (value.length === 0 || value.length > MAX_VALUE) throw malformed("name", "name has an empty or too long value")
  const text = decodeUtf8(value)
  if (text === undefined || text.includes("\0") || shape?.test(text) === false) {
    throw malformed("name", "name has a value outside its character set")
  }
}

function decodeUtf8(value: Uint8Array): string | undefined {
  try {
    return UTF8.decode(value)
  } catch {
    return undefined
  }
}

function attribute(oid: string, value: Uint8Array): Uint8Array {
  return encodeDer(TAG.set, encodeSequence(encodeOid(oid), value))
}

function utf8(text: string): Uint8Array {
  // Code points, since the bound of RFC 5280 counts characters.
  const characters = Array.from(text).length
  if (characters < 1 || characters > MAX_CHARACTERS || CONTROL.test(text) || !text.isWellFormed()) {
    throw new RangeError("part of a name is not 1 to 64 printable characters")
  }
  return encodeDer(TAG.utf8String, Buffer.from(text, "utf8"))
}

function printable(text: string): Uint8Array {
  if (text.length > MAX_CHARACTERS || !PRINTABLE.test(text)) {
    throw new RangeError("serial number of a name is not 1 to 64 characters of PrintableString")
  }
  return encodeDer(TAG.printableString, asciiOctets(text))
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]+$/
const IA5 = /^\p{ASCII}+$/u
const CONTROL = /\p{Cc}/u
const MAX_CHARACTERS = 64
const MAX_RDNS = 16
const MAX_ATTRIBUTES = 4
const MAX_VALUE = 256
