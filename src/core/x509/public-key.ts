import { createPublicKey, hash, type KeyObject } from "node:crypto"
import { TAG } from "./der.ts"
import { DerReader } from "./der-reader.ts"
import { OID } from "./oid.ts"
import { malformed } from "./refusal.ts"
import { checkRsaKey } from "./rsa-policy.ts"
import type { SubjectKeyAlgorithm } from "./signature-algorithm.ts"

/** A witness that a public key passed the key policy. Only {@link parsePublicKey} makes one. */
export class SubjectPublicKey {
  /** SubjectPublicKeyInfo, DER; the only encoding of this key that the policy allows. */
  readonly spki: Uint8Array
  readonly algorithm: SubjectKeyAlgorithm
  /** Key identifier, 20 octets: the first 160 bits of SHA-256 over the key bits (RFC 7093, method 1). */
  readonly keyId: Uint8Array
  readonly #keyIdHex: string
  #keyObject: KeyObject | undefined

  private constructor(spki: Uint8Array, algorithm: SubjectKeyAlgorithm, keyBits: Uint8Array) {
    this.spki = spki
    this.algorithm = algorithm
    this.#keyIdHex = hash("sha256", keyBits, "hex").slice(0, 2 * KEY_ID_OCTETS)
    this.keyId = new Uint8Array(Buffer.from(this.#keyIdHex, "hex"))
  }

  /** For {@link parsePublicKey} alone. */
  static parse(bytes: Uint8Array): SubjectPublicKey {
    const key = SubjectPublicKey.#shape(bytes)
    key.#keyObject = importKey(key.spki)
    return key
  }

  /** For {@link provePublicKey} alone. */
  static async prove(bytes: Uint8Array, check: CheckPossession): Promise<SubjectPublicKey> {
    const key = SubjectPublicKey.#shape(bytes)
    const verdict = await check(key.spki, key.algorithm)
    if (verdict === "wrong-key") throw malformed("key-point", "public key is not valid")
    if (verdict === "wrong-signature") throw malformed("signature", "proof of possession does not verify")
    return key
  }

  /** Everything of the policy but whether the point lies on its curve. */
  static #shape(bytes: Uint8Array): SubjectPublicKey {
    if (bytes.length > MAX_SPKI) throw malformed("der-size", "public key is longer than 2048 bytes")
    // The caller's buffer may be re-used. Of the pool: memory of its own costs more than the rest of this.
    const spki = Buffer.allocUnsafe(bytes.length)
    spki.set(bytes)
    if (hasShape(spki, P256)) return new SubjectPublicKey(spki, "ec-p256", spki.subarray(P256.prefix.length - 1))
    if (hasShape(spki, P384)) return new SubjectPublicKey(spki, "ec-p384", spki.subarray(P384.prefix.length - 1))
    return new SubjectPublicKey(spki, "rsa", readRsaKey(spki))
  }

  /** For verification. */
  get keyObject(): KeyObject {
    this.#keyObject ??= importKey(this.spki)
    return this.#keyObject
  }

  /** Key identifier in lowercase hex. */
  get keyIdHex(): string {
    return this.#keyIdHex
  }
}

/**
 * Parse a SubjectPublicKeyInfo and apply the key policy: P-256 or P-384 as a named curve with an uncompressed point on it,
 * or RSA of 2048 to 4096 bits with exponent 65537 and no known weakness. At most 2048 bytes.
 * @throws IdentityError `malformed`, reason `key-*` or `der-*` @see KEY-01..KEY-07 CSR-02 CSR-03 INV-09
 */
export function parsePublicKey(spki: Uint8Array): SubjectPublicKey {
  return SubjectPublicKey.parse(spki)
}

/** Verifies a signature by the key `spki`, which it imports: that is what shows that the point lies on the curve. */
export type CheckPossession = (spki: Uint8Array, algorithm: SubjectKeyAlgorithm) => Promise<Verdict>
export type Verdict = "valid" | "wrong-signature" | "wrong-key"

/**
 * {@link parsePublicKey} together with a proof of possession, for one import of the key in place of two.
 * @throws IdentityError as {@link parsePublicKey}; reason `signature` when the proof does not verify
 */
export function provePublicKey(spki: Uint8Array, check: CheckPossession): Promise<SubjectPublicKey> {
  return SubjectPublicKey.prove(spki, check)
}

/**
 * Refuse keys that must never be in an SVID: those of our authorities, and those known to be compromised.
 * @param blocked {@link SubjectPublicKey.keyIdHex} of each @throws IdentityError `malformed`, reason `key-blocked` @see KEY-08
 */
export function refuseBlockedKey(key: SubjectPublicKey, blocked: ReadonlySet<string>): void {
  if (blocked.has(key.keyIdHex)) throw malformed("key-blocked", "public key is blocked")
}

// Import also checks that the point is on its curve.
function importKey(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki.buffer, spki.byteOffset, spki.length), format: "der", type: "spki" })
  } catch (cause) {
    throw malformed("key-point", "public key is not valid", cause)
  }
}

interface CurveShape {
  /** All octets of the encoding up to and with the marker of an uncompressed point. */
  readonly prefix: Uint8Array
  readonly length: number
}

function hasShape(spki: Uint8Array, { prefix, length }: CurveShape): boolean {
  return spki.length === length && prefix.every((octet, i) => spki[i] === octet)
}

/** The key bits of an RSA key that passes. What is no RSA key is refused here as well, with the reason. */
function readRsaKey(spki: Uint8Array): Uint8Array {
  const info = new DerReader(spki).enterLast(TAG.sequence)
  const algorithm = info.enter(TAG.sequence)
  const kind = algorithm.oid()
  if (kind === OID.ecPublicKey) throw refusedCurve(algorithm)
  if (kind !== OID.rsaEncryption) throw malformed("key-type", "public key is neither EC nor RSA")
  if (algorithm.content(TAG.null).length !== 0) throw malformed("key-encoding", "RSA parameters are not NULL")
  algorithm.end()
  const keyBits = info.bitString()
  info.end()
  checkRsaKey(keyBits)
  return keyBits
}

function refusedCurve(algorithm: DerReader): Error {
  if (algorithm.tag !== TAG.oid) return malformed("key-curve", "EC key does not name its curve")
  const curve = algorithm.oid()
  return curve === P256_OID || curve === P384_OID
    ? malformed("key-point", "EC point is not in uncompressed form")
    : malformed("key-curve", "EC key is on a curve that is not allowed")
}

const KEY_ID_OCTETS = 20
const MAX_SPKI = 2048
const P256_OID = "1.2.840.10045.3.1.7"
const P384_OID = "1.3.132.0.34"
const P256: CurveShape = {
  prefix: Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex"),
  length: 91,
}
const P384: CurveShape = { prefix: Buffer.from("3076301006072a8648ce3d020106052b8104002203620004", "hex"), length: 120 }
