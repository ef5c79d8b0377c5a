import { createHash } from "node:crypto"
import { openBenchPipeline } from "./bench-server.ts"
import { perSecond } from "./measure.ts"
import { ProvenKeys } from "./proven-keys.ts"

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
  const keys = new ProvenKeys(Math.ceil(seconds * KEYS_PER_SECOND), digest)
  const common = { token, spiffeId: undefined, ttl: undefined, requestId: "bench" }
  const x509 = await perSecond(seconds, 64, async () => {
    await pipeline.issueX509({ ...common, key: keys.take() }, never)
  })
  const jwt = await perSecond(seconds, 64, async () => {
    await pipeline.issueJwt({ ...common, audience: ["bench"] }, never)
  })
  return { x509, jwt }
}

/** More than this machine can use, warm-up included. */
const KEYS_PER_SECOND = 25_000
