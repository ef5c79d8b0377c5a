import { encodeDer, encodeSequence, TAG } from "./der.ts"
import { encodeGeneralNames, type WritableName } from "./general-names.ts"
import { encodeOid, OID } from "./oid.ts"

/** Bits of KeyUsage that we set, bit 0 highest. */
export const KEY_USAGE_BIT = { digitalSignature: 0x8000, keyCertSign: 0x0400, cRLSign: 0x0200 } as const

/** `digitalSignature` alone. @see X5-07 X5-08 X5-09 */
export function encodeLeafKeyUsage(): Uint8Array {
  return encodeExtension(OID.keyUsage, true, Uint8Array.from([TAG.bitString, 2, 7, 0x80]))
}

/** `keyCertSign` and `cRLSign`. @see X5-12 */
export function encodeAuthorityKeyUsage(): Uint8Array {
  return encodeExtension(OID.keyUsage, true, Uint8Array.from([TAG.bitString, 2, 1, 0x06]))
}

/** serverAuth and clientAuth. @see X5-10 */
export function encodeExtKeyUsage(): Uint8Array {
  return encodeExtension(OID.extKeyUsage, false, encodeSequence(encodeOid(OID.serverAuth), encodeOid(OID.clientAuth)))
}

/** Of a leaf. @see X5-06 */
export function encodeLeafConstraints(): Uint8Array {
  return encodeExtension(OID.basicConstraints, true, encodeSequence())
}

/** @param pathLength how many authorities may stand below; `undefined`: any number @see X5-11 X5-13 */
export function encodeAuthorityConstraints(pathLength: number | undefined): Uint8Array {
  const isAuthority = encodeDer(TAG.boolean, Uint8Array.of(0xff))
  if (pathLength === undefined) return encodeExtension(OID.basicConstraints, true, encodeSequence(isAuthority))
  if (!Number.isInteger(pathLength) || pathLength < 0 || pathLength > 127)
    throw new RangeError("path length outside 0 to 127")
  const bound = encodeDer(TAG.integer, Uint8Array.of(pathLength))
  return encodeExtension(OID.basicConstraints, true, encodeSequence(isAuthority, bound))
}

export function encodeSubjectKeyIdentifier(keyId: Uint8Array): Uint8Array {
  return encodeDer(TAG.sequence, SUBJECT_KEY_IDENTIFIER, encodeDer(TAG.octetString, encodeDer(TAG.octetString, keyId)))
}

/** The key identifier alone, so that a re-issued authority certificate keeps its leaves. */
export function encodeAuthorityKeyIdentifier(keyId: Uint8Array): Uint8Array {
  return encodeExtension(OID.authorityKeyIdentifier, false, encodeSequence(encodeDer(KEY_IDENTIFIER, keyId)))
}

/** @param critical true when the subject is empty @see X5-04 */
export function encodeSubjectAltName(names: readonly WritableName[], critical: boolean): Uint8Array {
  const header = critical ? CRITICAL_SUBJECT_ALT_NAME : SUBJECT_ALT_NAME
  return encodeDer(TAG.sequence, header, encodeDer(TAG.octetString, encodeGeneralNames(names)))
}

function encodeExtension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  const content = encodeDer(TAG.octetString, value)
  return critical ? encodeSequence(encodeOid(oid), CRITICAL, content) : encodeSequence(encodeOid(oid), content)
}

const KEY_IDENTIFIER = 0x80
const CRITICAL = encodeDer(TAG.boolean, Uint8Array.of(0xff))
// Once, since these two extensions differ in every leaf: what stands in them before the octet string.
export const SUBJECT_KEY_IDENTIFIER = encodeOid(OID.subjectKeyIdentifier)
const SUBJECT_ALT_NAME = encodeOid(OID.subjectAltName)
export const CRITICAL_SUBJECT_ALT_NAME = Buffer.concat([SUBJECT_ALT_NAME, CRITICAL])
