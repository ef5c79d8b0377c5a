import { hkdfSync } from "node:crypto"
import { Secret } from "../../core/secret.ts"

/** What a key is derived for. A name is never used again for something else. */
export type DerivedKeyUse = "dpop nonce v1" | "audit seal v1" | "authority witness v1"

/**
 * 32 bytes that everybody with the same sealing key derives alike, of which nothing can be learnt about it or about any other
 * derived key: HKDF-SHA256. @see DP-09
 */
export function deriveSharedKey(sealingKey: Secret, use: DerivedKeyUse): Secret {
  const bytes = sealingKey.expose((key) => hkdfSync("sha256", key, SALT, `assay ${use}`, KEY_BYTES))
  return new Secret(new Uint8Array(bytes))
}

const SALT = "assay shared key v1"
const KEY_BYTES = 32
