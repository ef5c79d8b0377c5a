import { toIdentityError } from "../../core/errors.ts"
import type { KeyAlgorithm, KeyStore, Signer } from "../../ports/keys.ts"

/** The key of this name, made unless a crash left it behind. @throws IdentityError as the store */
export async function createOrOpen(keys: KeyStore, keyId: string, algorithm: KeyAlgorithm): Promise<Signer> {
  try {
    return await keys.create(keyId, algorithm)
  } catch (thrown) {
    if (toIdentityError(thrown).code !== "already-exists") throw thrown
    return keys.open(keyId)
  }
}
