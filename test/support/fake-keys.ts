import { processKeys } from "../../src/adapters/process-keys/process-keys.ts"
import { IdentityError } from "../../src/core/errors.ts"
import type { EphemeralKeys, KeyAlgorithm, KeyStore, Signer } from "../../src/ports/keys.ts"

/** Called with what is about to be signed; may throw. */
export type OnSign = (data: Uint8Array, keyId: string) => void | Promise<void>

/** A key store in memory with real keys; every signature is seen first. */
export class FakeKeyStore implements KeyStore {
  readonly keys = new Map<string, Signer>()
  readonly #onSign: OnSign

  constructor(onSign: OnSign) {
    this.#onSign = onSign
  }

  async create(keyId: string, algorithm: KeyAlgorithm): Promise<Signer> {
    if (this.keys.has(keyId)) throw new IdentityError("already-exists", "key exists")
    const signer = watched(await processKeys.makeSigner(algorithm), keyId, this.#onSign)
    this.keys.set(keyId, signer)
    return signer
  }

  async open(keyId: string): Promise<Signer> {
    const signer = this.keys.get(keyId)
    if (signer === undefined) throw new IdentityError("not-found", "no such key")
    return signer
  }

  async list(): Promise<readonly string[]> {
    return [...this.keys.keys()]
  }

  async destroy(keyId: string): Promise<void> {
    this.keys.delete(keyId)
  }
}

/** Keys of this process whose signatures are seen first; key id `issuing`. @param held those that were made and not let go of */
export function watchedKeys(onSign: OnSign, held = new Set<Signer>()): EphemeralKeys {
  return {
    makeSigner: async (algorithm) => {
      const made = watched(await processKeys.makeSigner(algorithm), "issuing", onSign)
      const signer = { ...made, forget: () => void held.delete(signer) }
      held.add(signer)
      return signer
    },
    makeWorkloadKey: (algorithm) => processKeys.makeWorkloadKey(algorithm),
  }
}

function watched(signer: Signer, keyId: string, onSign: OnSign): Signer {
  return {
    algorithm: signer.algorithm,
    publicKey: signer.publicKey,
    forget: () => undefined,
    sign: async (data, form) => {
      await onSign(data, keyId)
      return signer.sign(data, form)
    },
  }
}
