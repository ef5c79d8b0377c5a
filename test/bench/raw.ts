import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign, verify } from "node:crypto"
import { perSecond } from "./measure.ts"

/** What the elliptic-curve work alone costs on this machine, per second. */
export interface RawRates {
  /** `crypto.sign`, P-256, synchronous: one core. */
  readonly sign: number
  /** Import of a public key, verification and signature, synchronous: one core. */
  readonly issueOneCore: number
  /** The same with 64 in flight, verification and signature in the thread pool: all cores. */
  readonly issueAllCores: number
}

export async function measureRaw(seconds: number): Promise<RawRates> {
  const authority = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
  const requests = Array.from({ length: 64 }, makeRequest)
  const next = cycle(requests)
  const tbs = randomBytes(400)
  return {
    sign: await perSecond(seconds, 1, async () => void sign("sha256", tbs, authority)),
    issueOneCore: await perSecond(seconds, 1, async () => issueSync(next(), tbs, authority)),
    issueAllCores: await perSecond(seconds, 64, () => issueAsync(next(), tbs, authority)),
  }
}

interface RawRequest {
  readonly spki: Buffer
  readonly message: Buffer
  readonly proof: Buffer
}

function makeRequest(): RawRequest {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const message = randomBytes(150)
  return {
    spki: publicKey.export({ format: "der", type: "spki" }),
    message,
    proof: sign("sha256", message, privateKey),
  }
}

function issueSync(request: RawRequest, tbs: Buffer, authority: KeyObject): void {
  const key = createPublicKey({ key: request.spki, format: "der", type: "spki" })
  if (!verify("sha256", request.message, key, request.proof)) throw new Error("proof does not verify")
  sign("sha256", tbs, authority)
}

async function issueAsync(request: RawRequest, tbs: Buffer, authority: KeyObject): Promise<void> {
  const key = createPublicKey({ key: request.spki, format: "der", type: "spki" })
  await new Promise<void>((resolve, reject) => {
    verify("sha256", request.message, key, request.proof, (error, ok) => (ok ? resolve() : reject(error)))
  })
  await new Promise<void>((resolve, reject) => {
    sign("sha256", tbs, authority, (error) => (error === null ? resolve() : reject(error)))
  })
}

function cycle<Item>(items: readonly Item[]): () => Item {
  let i = 0
  return () => {
    const item = items[i++ % items.length]
    if (item === undefined) throw new RangeError("nothing to cycle through")
    return item
  }
}
