import { createHmac, timingSafeEqual } from "node:crypto"
import type { SealMac } from "../../core/audit/chain.ts"
import type { Secret } from "../../core/secret.ts"
import { deriveSharedKey } from "./derived-key.ts"

/** HMAC-SHA256 under a key that everybody with the same sealing key derives, and nobody else. @see AUD-13 */
export function makeSealMac(sealingKey: Secret): SealMac {
  const key = deriveSharedKey(sealingKey, "audit seal v1")
  const macOf = (text: string): Buffer => key.expose((bytes) => createHmac("sha256", bytes).update(text).digest())
  return {
    make: (text) => macOf(text).toString("hex"),
    verify: (text, mac) => /^[0-9a-f]{64}$/.test(mac) && timingSafeEqual(macOf(text), Buffer.from(mac, "hex")),
  }
}
