import type { CryptoThread } from "../../adapters/process-keys/crypto-thread.ts"
import type { SqliteStore } from "../../adapters/sqlite/open-store.ts"
import { commitThenSign } from "../../app/issue/commit-then-sign.ts"
import type { Secret } from "../../core/secret.ts"
import type { SignGuarded } from "../../ports/intent-signer.ts"
import type { KeyAlgorithm, Signer } from "../../ports/keys.ts"

/** Where the keys of a server are used. None of them ever leaves the thread it is in. */
export interface Signers {
  /** A key that lives as long as the process. */
  readonly make: (algorithm: KeyAlgorithm) => Promise<Signer>
  /** A key that is sealed on disk. @throws IdentityError `malformed` */
  readonly load: (pkcs8: Secret, algorithm: KeyAlgorithm) => Promise<Signer>
  readonly signIntent: SignGuarded
}

/** P-256 signs in the store's thread, where intents become durable; slower keys sign beside it, and hold up no commit. */
export function makeSigners({ signing, issuanceLog }: SqliteStore, crypto: CryptoThread): Signers {
  const elsewhere = commitThenSign(issuanceLog)
  return {
    make: (algorithm) => (algorithm === "ec-p256" ? signing.makeSigner() : crypto.makeSigner(algorithm)),
    load: (pkcs8, algorithm) =>
      algorithm === "ec-p256" ? signing.loadSigner(pkcs8) : crypto.loadSigner(pkcs8, algorithm),
    signIntent: (order) => (signing.holds(order.signer) ? signing.signIntent(order) : elsewhere(order)),
  }
}
