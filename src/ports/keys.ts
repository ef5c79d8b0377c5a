import type { Secret } from "../core/secret.ts"

export type KeyAlgorithm = "ec-p256" | "ec-p384" | "rsa-2048" | "rsa-4096"

/** A private key that signs and cannot be read. Whether it lives in this process or in a device is the adapter's matter. */
export interface Signer {
  readonly algorithm: KeyAlgorithm
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  /**
   * Sign `data` with the hash that belongs to the algorithm (P-256 and RSA: SHA-256, P-384: SHA-384; RSA is PKCS#1 v1.5).
   * `form` chooses how an ECDSA signature is written: `der` for X.509, `p1363` for JOSE.
   */
  sign(data: Uint8Array, form: "der" | "p1363"): Promise<Uint8Array>
  /** Let go of the private key: nothing is signed any more. Where it is sealed it stays sealed. */
  forget(): void
}

/** Long-lived keys, sealed at rest. Trusting it means: whoever reads the store and the sealing key can sign as us. */
export interface KeyStore {
  /** Make a key. Durable when it resolves. @throws IdentityError `already-exists` */
  create(keyId: string, algorithm: KeyAlgorithm): Promise<Signer>
  /** @throws IdentityError `not-found`; `not-ready` when it cannot be unsealed */
  open(keyId: string): Promise<Signer>
  list(): Promise<readonly string[]>
  /** Gone for good when it resolves. A key that is not there is no error. */
  destroy(keyId: string): Promise<void>
}

/** Makes keys that live in this process's memory only. */
export interface EphemeralKeys {
  /** A key for an issuing authority: never exported. */
  makeSigner(algorithm: KeyAlgorithm): Promise<Signer>
  /** A key for a workload: its private half is handed to the workload it is for, and to nobody else. */
  makeWorkloadKey(algorithm: KeyAlgorithm): Promise<WorkloadKey>
}

export interface WorkloadKey extends Signer {
  /** PKCS#8, DER, not encrypted. */
  readonly pkcs8: Secret
}

/** Private keys as software has them: where a key store gets what it seals, and what it makes of it again. */
export interface SoftwareKeys {
  /** Make a long-lived key. PKCS#8, DER, not encrypted. */
  generate(algorithm: KeyAlgorithm): Promise<Secret>
  /** @throws IdentityError `malformed` when it is not a key of this algorithm */
  load(pkcs8: Secret, algorithm: KeyAlgorithm): Promise<Signer>
}
