import { encodeDer, encodeSequence, TAG } from "../../src/core/x509/der.ts"
import { DerReader } from "../../src/core/x509/der-reader.ts"

/** A TBSCertificate with another element in place of one, the version being the first. */
export function replaceField(tbs: Uint8Array, index: number, element: Uint8Array): Uint8Array {
  return encodeSequence(...elements(new DerReader(tbs).enter(TAG.sequence)).with(index, element))
}

/** A TBSCertificate with one more extension, DER, after those that it has. */
export function withExtension(tbs: Uint8Array, extension: Uint8Array): Uint8Array {
  const fields = elements(new DerReader(tbs).enter(TAG.sequence))
  const held = elements(new DerReader(fields.at(-1) ?? tbs).enter(EXTENSIONS).enter(TAG.sequence))
  return replaceField(tbs, fields.length - 1, encodeDer(EXTENSIONS, encodeSequence(...held, extension)))
}

function elements(reader: DerReader): readonly Uint8Array[] {
  const found: Uint8Array[] = []
  while (!reader.done) found.push(reader.element())
  return found
}

const EXTENSIONS = 0xa3
/** Critical, with an empty value. */
export const NAME_CONSTRAINTS = Buffer.from("300c0603551d1e0101ff04023000", "hex")
