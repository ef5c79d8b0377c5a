import { createPublicKey, type KeyObject, sign, verify } from "node:crypto"
import { IdentityError } from "../../core/errors.ts"
import type { KeyAlgorithm, Signer } from "../../ports/keys.ts"

/** Signs with a key in this process. The work is done in libuv's thread pool. */
export class SoftwareSigner implements Signer {
  readonly algorithm: KeyAlgorithm
  readonly publicKey: Uint8Array
  #private: KeyObject | undefined
  readonly #public: KeyObject

  /** @throws IdentityError `malformed` when the key is not of this algorithm */
  constructor(privateKey: KeyObject, algorithm: KeyAlgorithm) {
    if (algorithmOf(privateKey) !== algorithm) throw new IdentityError("malformed", `private key is not ${algorithm}`)
    this.algorithm = algorithm
    this.#private = privateKey
    this.#public = createPublicKey(privateKey)
    this.publicKey = new Uint8Array(this.#public.export({ type: "spki", format: "der" }))
  }

  async sign(data: Uint8Array, form: "der" | "p1363"): Promise<Uint8Array> {
    const dsaEncoding = form === "der" ? "der" : "ieee-p1363"
    if (this.#private === undefined) throw new TypeError("key was let go of")
    const signature = await signInPool(HASHES[this.algorithm], data, { key: this.#private, dsaEncoding })
    // One faulty RSA signature gives the key away; an ECDSA one does not, and a check would cost three times the signature.
    if (isRsa(this.algorithm) && !(await verifyInPool(HASHES[this.algorithm], data, this.#public, signature))) {
      throw new Error("RSA signature does not verify")
    }
    return signature
  }

  forget(): void {
    this.#private = undefined
  }
}

function signInPool(
  hash: string,
  data: Uint8Array,
  key: { readonly key: KeyObject; readonly dsaEncoding: "der" | "ieee-p1363" },
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    sign(hash, data, key, (error, signature) => (error === null ? resolve(signature) : reject(error)))
  })
}

function verifyInPool(hash: string, data: Uint8Array, key: KeyObject, signature: Uint8Array): Promise<boolean> {
  return new Promise((resolve, reject) => {
    verify(hash, data, key, signature, (error, valid) => (error === null ? resolve(valid) : reject(error)))
  })
}

function isRsa(algorithm: KeyAlgorithm): boolean {
  return algorithm === "rsa-2048" || algorithm === "rsa-4096"
}

function algorithmOf(key: KeyObject): string {
  const details = key.asymmetricKeyDetails
  if (key.asymmetricKeyType === "ec") return CURVES.get(details?.namedCurve ?? "") ?? "another curve"
  if (key.asymmetricKeyType === "rsa") return `rsa-${details?.modulusLength}`
  return "another type"
}

const CURVES: ReadonlyMap<string, KeyAlgorithm> = new Map([
  ["prime256v1", "ec-p256"],
  ["secp384r1", "ec-p384"],
])

const HASHES = {
  "ec-p256": "sha256",
  "ec-p384": "sha384",
  "rsa-2048": "sha256",
  "rsa-4096": "sha256",
} as const satisfies Record<KeyAlgorithm, string>
