import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto"
import { parentPort } from "node:worker_threads"
import type { KeyAlgorithm } from "../../ports/keys.ts"
import { type CryptoAnswer, type CryptoJob, signNow, verifyNow } from "./crypto-job.ts"
import { type PackedCrypto, packAnswers, unpackCrypto } from "./packed-crypto.ts"

/** Keys of authorities live in this thread and never leave it. */
const keys = new Map<number, { readonly privateKey: KeyObject; readonly algorithm: KeyAlgorithm }>()
let made = 0

parentPort?.on("message", (packed: PackedCrypto) => {
  parentPort?.postMessage(packAnswers(unpackCrypto(packed).map(run)))
})

function run(job: CryptoJob): CryptoAnswer {
  try {
    return answer(job)
  } catch (thrown) {
    // OpenSSL describes what it read, which may be a private key.
    const message = job.kind === "load" ? "not a private key of this algorithm" : String(thrown)
    return { kind: "failed", message }
  }
}

function answer(job: CryptoJob): CryptoAnswer {
  switch (job.kind) {
    case "make":
      return keep(generate(job.algorithm), job.algorithm)
    case "load":
      return keep(createPrivateKey({ key: Buffer.from(job.pkcs8), format: "der", type: "pkcs8" }), job.algorithm)
    case "forget":
      keys.delete(job.key)
      return { kind: "forgotten" }
    case "sign": {
      const held = keys.get(job.key)
      if (held === undefined) throw new RangeError("no such key in the crypto thread")
      return { kind: "signature", signature: signNow(held.privateKey, held.algorithm, job.data, job.form) }
    }
    case "verify":
      return { kind: "verdict", verdict: verifyNow(job.spki, job.digest, job.data, job.signature) }
    default:
      return job satisfies never
  }
}

function keep(privateKey: KeyObject, algorithm: KeyAlgorithm): CryptoAnswer {
  const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" })
  const key = made++
  keys.set(key, { privateKey, algorithm })
  return { kind: "key", key, publicKey }
}

function generate(algorithm: KeyAlgorithm): KeyObject {
  switch (algorithm) {
    case "ec-p256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
    case "ec-p384":
      return generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey
    case "rsa-2048":
      return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey
    case "rsa-4096":
      return generateKeyPairSync("rsa", { modulusLength: 4096 }).privateKey
    default:
      return algorithm satisfies never
  }
}
