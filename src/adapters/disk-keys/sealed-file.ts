import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto"
import { IdentityError } from "../../core/errors.ts"
import { Secret } from "../../core/secret.ts"
import type { KeyAlgorithm } from "../../ports/keys.ts"

/** What a sealed file says in clear, and what its tag therefore covers. */
export interface SealedKeyName {
  readonly keyId: string
  readonly algorithm: KeyAlgorithm
}

/**
 * Seal a private key: `ASSAYKEY`, version, algorithm, salt (32), nonce (12), ciphertext, tag (16). AES-256-GCM under a
 * subkey of its own (HKDF-SHA256 of the sealing key and the salt). The tag covers the header and the key id. @see STO-20
 */
export function sealKey(name: SealedKeyName, pkcs8: Secret, sealingKey: Secret): Uint8Array {
  const header = Buffer.concat([MAGIC, Buffer.from([VERSION, ALGORITHMS.indexOf(name.algorithm)])])
  const salt = randomBytes(SALT)
  const nonce = randomBytes(NONCE)
  using subkey = deriveSubkey(sealingKey, salt)
  const cipher = subkey.expose((key) => createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG }))
  cipher.setAAD(additionalData(header, name.keyId))
  const sealed = pkcs8.expose((bytes) => Buffer.concat([cipher.update(bytes), cipher.final()]))
  return Buffer.concat([header, salt, nonce, sealed, cipher.getAuthTag()])
}

/**
 * @throws IdentityError `not-ready`: reason `sealed-key-damaged` when it is no sealed file, `sealing-key-mismatch` when the
 * tag does not verify
 */
export function unsealKey(
  keyId: string,
  file: Uint8Array,
  sealingKey: Secret,
): { readonly algorithm: KeyAlgorithm; readonly pkcs8: Secret } {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  const header = bytes.subarray(0, HEADER)
  const algorithm = ALGORITHMS[header[HEADER - 1] ?? -1]
  if (bytes.length <= OVERHEAD || !header.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged(keyId)
  if (header[MAGIC.length] !== VERSION || algorithm === undefined) throw damaged(keyId)
  using subkey = deriveSubkey(sealingKey, bytes.subarray(HEADER, HEADER + SALT))
  const nonce = bytes.subarray(HEADER + SALT, HEADER + SALT + NONCE)
  const decipher = subkey.expose((key) => createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG }))
  decipher.setAAD(additionalData(header, keyId)).setAuthTag(bytes.subarray(bytes.length - TAG))
  const opened = decipher.update(bytes.subarray(HEADER + SALT + NONCE, bytes.length - TAG))
  try {
    decipher.final()
  } catch (cause) {
    opened.fill(0)
    throw mismatch(keyId, cause)
  }
  return { algorithm, pkcs8: new Secret(opened) }
}

function deriveSubkey(sealingKey: Secret, salt: Uint8Array): Secret {
  return new Secret(sealingKey.expose((key) => new Uint8Array(hkdfSync("sha256", key, salt, INFO, KEY))))
}

function additionalData(header: Uint8Array, keyId: string): Uint8Array {
  return Buffer.concat([header, Buffer.from(keyId, "utf8")])
}

function damaged(keyId: string): IdentityError {
  return new IdentityError("not-ready", `key "${keyId}" is damaged or of a later format: restore it from a backup`, {
    reason: "sealed-key-damaged",
  })
}

function mismatch(keyId: string, cause: unknown): IdentityError {
  const message = `key "${keyId}" does not open with this sealing key: give the sealing key that the store was made with, or restore the file from a backup`
  return new IdentityError("not-ready", message, { reason: "sealing-key-mismatch", cause })
}

const MAGIC = Buffer.from("ASSAYKEY", "latin1")
const VERSION = 1
const HEADER = MAGIC.length + 2
const SALT = 32
const NONCE = 12
const TAG = 16
const KEY = 32
const OVERHEAD = HEADER + SALT + NONCE + TAG
const INFO = "assay sealed key v1"
/** The position is what is written to the file, so entries are only ever added at the end. */
const ALGORITHMS = ["ec-p256", "ec-p384", "rsa-2048", "rsa-4096"] as const satisfies readonly KeyAlgorithm[]
