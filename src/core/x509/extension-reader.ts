import { TAG } from "./der.ts"
import type { DerReader } from "./der-reader.ts"
import { KEY_USAGE_BIT } from "./extensions.ts"
import { malformed } from "./refusal.ts"

export interface Extension {
  readonly oid: string
  readonly critical: boolean
}

/** An extension of which the value was not interpreted yet. */
export interface RawExtension extends Extension {
  /** Reads the value, once. */
  readonly value: DerReader
}

export type KeyUsage = (typeof KEY_USAGES)[number]

/** Read Extensions: 1 to 32, each OID once. @throws IdentityError `malformed` @see DER-11 */
export function readExtensions(list: DerReader): readonly RawExtension[] {
  const extensions: RawExtension[] = []
  while (!list.done) {
    if (extensions.length === MAX_EXTENSIONS) throw malformed("extension", "more than 32 extensions")
    const extension = readExtension(list.enter(TAG.sequence))
    if (extensions.some(({ oid }) => oid === extension.oid)) throw malformed("extension", "an extension stands twice")
    extensions.push(extension)
  }
  if (extensions.length === 0) throw malformed("extension", "the list of extensions is empty")
  return extensions
}

/** Bits that are set. @throws IdentityError `malformed` */
export function readKeyUsage(value: DerReader): ReadonlySet<KeyUsage> {
  const bits = value.namedBits()
  value.end()
  if (bits === 0) throw malformed("extension", "key usage has no bit set")
  return usagesOf(bits >> UNNAMED_BITS)
}

/** Purposes in dotted form, 1 to 32. @throws IdentityError `malformed` */
export function readExtKeyUsage(value: DerReader): readonly string[] {
  const reader = value.enterLast(TAG.sequence)
  const purposes: string[] = []
  while (!reader.done && purposes.length < MAX_EXTENSIONS) purposes.push(reader.oid())
  reader.end()
  if (purposes.length === 0) throw malformed("extension", "extended key usage is empty")
  return purposes
}

export interface BasicConstraints {
  readonly isCa: boolean
  readonly pathLength: number | undefined
}

/** @throws IdentityError `malformed` */
export function readBasicConstraints(value: DerReader): BasicConstraints {
  const reader = value.enterLast(TAG.sequence)
  const isCa = reader.tag === TAG.boolean && reader.boolean()
  // A cA that is FALSE is the default, which DER leaves out; real certificates write it, and it cannot mean anything else.
  const pathLength = reader.tag === TAG.integer ? reader.smallInteger() : undefined
  reader.end()
  if (!isCa && pathLength !== undefined) throw malformed("extension", "path length without authority")
  return { isCa, pathLength }
}

/** @throws IdentityError `malformed` */
export function readSubjectKeyIdentifier(value: DerReader): Uint8Array {
  const keyId = value.content(TAG.octetString)
  value.end()
  return checkKeyId(keyId)
}

/** `undefined` when it names its issuer in another way only. @throws IdentityError `malformed` */
export function readAuthorityKeyIdentifier(value: DerReader): Uint8Array | undefined {
  const reader = value.enterLast(TAG.sequence)
  const keyId = reader.tag === KEY_IDENTIFIER ? checkKeyId(reader.content(KEY_IDENTIFIER)) : undefined
  while (!reader.done) reader.skip()
  return keyId
}

function checkKeyId(keyId: Uint8Array): Uint8Array {
  if (keyId.length === 0 || keyId.length > MAX_KEY_ID)
    throw malformed("extension", "key identifier is not of 1 to 64 octets")
  return keyId
}

function usagesOf(bits: number): ReadonlySet<KeyUsage> {
  const known = USAGES_OF_BITS.get(bits)
  if (known !== undefined) return known
  const usages = new Set(
    KEY_USAGES.filter((_, i) => ((bits << UNNAMED_BITS) & (KEY_USAGE_BIT.digitalSignature >> i)) !== 0),
  )
  USAGES_OF_BITS.set(bits, usages)
  return usages
}

function readExtension(reader: DerReader): RawExtension {
  const oid = reader.oid()
  // As in basicConstraints: an explicit FALSE occurs and is harmless.
  const critical = reader.tag === TAG.boolean && reader.boolean()
  return { oid, critical, value: reader.enterLast(TAG.octetString) }
}

/** In the order of their bits. */
const KEY_USAGES = [
  "digitalSignature",
  "contentCommitment",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
  "encipherOnly",
  "decipherOnly",
] as const

/** Of the 16 that a reader yields, those after the last of {@link KEY_USAGES}. */
const UNNAMED_BITS = 16 - KEY_USAGES.length
/** What each combination of them says, once it was met: at most 512. */
const USAGES_OF_BITS = new Map<number, ReadonlySet<KeyUsage>>()
const KEY_IDENTIFIER = 0x80
const MAX_EXTENSIONS = 32
const MAX_KEY_ID = 64
