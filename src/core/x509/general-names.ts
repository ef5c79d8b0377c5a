import { asciiOctets, encodeDer, TAG } from "./der.ts"
import type { DerReader } from "./der-reader.ts"
import { malformed } from "./refusal.ts"

/** One name of a subjectAltName. `ip` is of 4 or 16 octets; `other` is what we do not interpret. */
export type GeneralName =
  | { readonly kind: "uri" | "dns"; readonly text: string }
  | { readonly kind: "ip"; readonly octets: Uint8Array }
  | { readonly kind: "other"; readonly tag: number }

/** GeneralNames in the order given. Text must be ASCII and IP octets of a legal length: the lint reads them back. */
export function encodeGeneralNames(names: readonly Exclude<GeneralName, { kind: "other" }>[]): Uint8Array {
  return encodeDer(TAG.sequence, ...names.map(encodeGeneralName))
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

export function encodeGeneralName(name: Exclude<GeneralName, { kind: "other" }>): Uint8Array {
  if (name.kind === "ip") return encodeDer(IP, name.octets)
  return encodeDer(name.kind === "uri" ? URI : DNS, asciiOctets(name.text))
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
const MAX_NAMES = 128
