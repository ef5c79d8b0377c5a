import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign, verify } from "node:crypto"
import { perSecond } from "./measure.ts"
import type { Span } from "./rounds.ts"

type Measure = (span: Span) => Promise<number>

/** The elliptic-curve work alone, per second. */
export interface RawTasks {
  /** `crypto.sign`, P-256, synchronous: one core. */
  readonly sign: Measure
  /** Import of a public key, verification and signature, synchronous: one core. */
  readonly issueOneCore: Measure
  /** The same with 64 in flight, verification and signature in the thread pool: all cores. */
  readonly issueAllCores: Measure
}

export function makeRawTasks(): RawTasks {
  const authority = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
  const requests = Array.from({ length: 64 }, makeRequest)
  const next = cycle(requests)
  const tbs = randomBytes(400)
  return {
    sign: (span) => perSecond(span, 1, async () => void sign("sha256", tbs, authority)),
    issueOneCore: (span) => perSecond(span, 1, async () => issueSync(next(), tbs, authority)),
    issueAllCores: (span) => perSecond(span, 64, () => issueAsync(next(), tbs, authority)),
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
