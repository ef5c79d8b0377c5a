import { createHash, generateKeyPairSync, sign } from "node:crypto"
import { provenKeyMessage } from "../../src/core/x509/csr.ts"
import { openBenchPipeline } from "./bench-server.ts"
import { perSecond } from "./measure.ts"

export interface PipelineRates {
  /** X.509-SVIDs a second, durable, 64 in flight, without a wire. */
  readonly x509: number
  /** JWT-SVIDs a second, durable, 64 in flight, without a wire. */
  readonly jwt: number
}

export async function measurePipeline(seconds: number): Promise<PipelineRates> {
  await using bench = await openBenchPipeline()
  const { pipeline, token } = bench
  const never = new AbortController().signal
  const digest = createHash("sha256").update(token).digest()
  const keys = Array.from({ length: Math.ceil(seconds * KEYS_PER_SECOND) }, () => proveKey(digest))
  let next = 0
  const common = { token, spiffeId: undefined, ttl: undefined, requestId: "bench" }
  const x509 = await perSecond(seconds, 64, async () => {
    const key = keys[next++]
    if (key === undefined) throw new RangeError("keys made ahead did not last")
    await pipeline.issueX509({ ...common, key }, never)
  })
  const jwt = await perSecond(seconds, 64, async () => {
    await pipeline.issueJwt({ ...common, audience: ["bench"] }, never)
  })
  return { x509, jwt }
}

/** Each key is used once, so that no request is taken for a retry. */
function proveKey(digest: Uint8Array) {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const publicKey = pair.publicKey.export({ format: "der", type: "spki" })
  const proof = sign("sha256", provenKeyMessage(digest, publicKey), pair.privateKey)
  return { kind: "proven-key", publicKey, proof } as const
}

/** More than this machine can use, warm-up included. */
const KEYS_PER_SECOND = 25_000
