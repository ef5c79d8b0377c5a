import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import { IdentityError } from "../../core/errors.ts"
import type { JobResult, KeyJob } from "./job.ts"

/**
 * Keys of P-256 that are made in the store's thread, or given to it, and never leave it. Others are not held here: a slower
 * signature would keep commits waiting, and one of RSA must be verified before anybody sees it.
 */
export class HeldKeys {
  readonly #keys = new Map<number, KeyObject>()
  #made = 0

  /** @throws IdentityError `malformed` for what is no P-256 key */
  run(job: KeyJob): JobResult {
    switch (job.kind) {
      case "make-key":
        return this.#keep(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey)
      case "load-key":
        return this.#keep(parseKey(job.pkcs8))
      case "forget-key":
        this.#keys.delete(job.key)
        return { kind: "done" }
      case "sign":
        return { kind: "signed", signature: this.sign(this.find(job.key), job.data, job.form) }
      default:
        return job satisfies never
    }
  }

  /** @throws RangeError when the key was let go of */
  find(key: number): KeyObject {
    const held = this.#keys.get(key)
    if (held === undefined) throw new RangeError("no such key in the store's thread")
    return held
  }

  sign(key: KeyObject, data: Uint8Array, form: "der" | "p1363"): Uint8Array {
    return signBy(key, data, form)
  }

  #keep(privateKey: KeyObject): JobResult {
    const publicKey = new Uint8Array(createPublicKey(privateKey).export({ type: "spki", format: "der" }))
    const key = this.#made++
    this.#keys.set(key, privateKey)
    return { kind: "key", key, publicKey }
  }
}

/** In every thread that signs. @param key of P-256 */
export function signBy(key: KeyObject, data: Uint8Array, form: "der" | "p1363"): Uint8Array {
  return sign("sha256", data, { key, dsaEncoding: form === "der" ? "der" : "ieee-p1363" })
}

function parseKey(pkcs8: Uint8Array): KeyObject {
  try {
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" })
    if (key.asymmetricKeyDetails?.namedCurve === "prime256v1") return key
  } catch {
    // OpenSSL describes what it read, and that is a private key.
  }
  throw new IdentityError("malformed", "not a private key of P-256")
}
