import { generateKeyPair, type KeyObject } from "node:crypto"
import { promisify } from "node:util"
import { Secret } from "../../core/secret.ts"
import type { EphemeralKeys, KeyAlgorithm, Signer, WorkloadKey } from "../../ports/keys.ts"
import { SoftwareSigner } from "./software-signer.ts"

/** Keys that live in this process's memory and are gone with it. Made in libuv's thread pool. */
export const processKeys: EphemeralKeys = {
  async makeSigner(algorithm: KeyAlgorithm): Promise<Signer> {
    return new SoftwareSigner(await generate(algorithm), algorithm)
  },
  async makeWorkloadKey(algorithm: KeyAlgorithm): Promise<WorkloadKey> {
    return new SoftwareWorkloadKey(await generate(algorithm), algorithm)
  },
}

class SoftwareWorkloadKey extends SoftwareSigner implements WorkloadKey {
  readonly pkcs8: Secret

  constructor(privateKey: KeyObject, algorithm: KeyAlgorithm) {
    super(privateKey, algorithm)
    this.pkcs8 = new Secret(privateKey.export({ type: "pkcs8", format: "der" }))
  }
}

async function generate(algorithm: KeyAlgorithm): Promise<KeyObject> {
  switch (algorithm) {
    case "ec-p256":
      return (await generatePair("ec", { namedCurve: "P-256" })).privateKey
    case "ec-p384":
      return (await generatePair("ec", { namedCurve: "P-384" })).privateKey
    case "rsa-2048":
      return (await generatePair("rsa", { modulusLength: 2048 })).privateKey
    case "rsa-4096":
      return (await generatePair("rsa", { modulusLength: 4096 })).privateKey
    default:
      return algorithm satisfies never
  }
}

const generatePair = promisify(generateKeyPair)
