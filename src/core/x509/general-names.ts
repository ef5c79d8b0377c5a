import { TAG } from "./der.ts"
import type { DerReader } from "./der-reader.ts"
import { DerWriter } from "./der-writer.ts"
import { malformed } from "./refusal.ts"

/** One name of a subjectAltName. `ip` is of 4 or 16 octets; `other` is what we do not interpret. */
export type GeneralName =
  | { readonly kind: "uri" | "dns"; readonly text: string }
  | { readonly kind: "ip"; readonly octets: Uint8Array }
  | { readonly kind: "other"; readonly tag: number }

/** What can be written. Text must be ASCII and IP octets of a legal length: the lint reads them back. */
export type WritableName = Exclude<GeneralName, { kind: "other" }>

/** GeneralNames in the order given. */
export function encodeGeneralNames(names: readonly WritableName[]): Uint8Array {
  const der = new DerWriter(generalNamesCapacity(names))
  putGeneralNames(der, names)
  return der.finish()
}

/** {@link encodeGeneralNames} before what was written so far. */
export function putGeneralNames(der: DerWriter, names: readonly WritableName[]): void {
  const end = der.end
  for (let i = names.length - 1; i >= 0; i--) {
    const name = names[i]
    if (name !== undefined) putGeneralName(der, name)
  }
  der.wrap(TAG.sequence, end)
}

/** Octets that are enough for them. */
export function generalNamesCapacity(names: readonly WritableName[]): number {
  let octets = MAX_HEADER
  for (const name of names) octets += MAX_HEADER + (name.kind === "ip" ? name.octets.length : name.text.length)
  return octets
}

/** Read GeneralNames: 1 to 128. @throws IdentityError `malformed` */
export function readGeneralNames(value: DerReader): readonly GeneralName[] {
  const reader = value.enterLast(TAG.sequence)
  const names: GeneralName[] = []
  while (!reader.done) {
    if (names.length === MAX_NAMES) throw malformed("extension", "certificate has more than 128 alternative names")
    names.push(readGeneralName(reader))
  }
  if (names.length === 0) throw malformed("extension", "certificate has an empty list of alternative names")
  return names
}

function putGeneralName(der: DerWriter, name: WritableName): void {
  const end = der.end
  if (name.kind === "ip") der.put(name.octets)
  else der.putAscii(name.text)
  der.wrap(TAG_OF_KIND[name.kind], end)
}

function readGeneralName(reader: DerReader): GeneralName {
  const tag = reader.tag
  const content = reader.content(tag)
  if (tag === URI || tag === DNS) return { kind: tag === URI ? "uri" : "dns", text: readAscii(content) }
  if (tag !== IP) return { kind: "other", tag }
  if (content.length !== 4 && content.length !== 16) throw malformed("extension", "IP address is not of 4 or 16 octets")
  return { kind: "ip", octets: content }
}

/** Visible ASCII, so that no name can hide a NUL or look like another one. */
function readAscii(content: Uint8Array): string {
  for (let i = 0; i < content.length; i++) {
    const octet = content[i] ?? 0
    if (octet <= 0x20 || octet >= 0x7f)
      throw malformed("der-string", "alternative name has a character that is not visible")
  }
  if (content.length === 0) throw malformed("der-string", "alternative name is empty")
  return Buffer.from(content.buffer, content.byteOffset, content.length).toString("latin1")
}

const URI = 0x86
const DNS = 0x82
const IP = 0x87
const TAG_OF_KIND = { uri: URI, dns: DNS, ip: IP } as const
const MAX_NAMES = 128
/** Octets of a tag and a length. */
const MAX_HEADER = 5
