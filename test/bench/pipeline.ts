import { createHash } from "node:crypto"
import type { Seconds } from "../../src/core/time.ts"
import { openBenchPipeline } from "./bench-server.ts"
import { perSecond } from "./measure.ts"
import { ProvenKeys } from "./proven-keys.ts"
import { makeRawTasks, type RawTasks } from "./raw.ts"
import { inRounds, type Span, type Spans, warmedUp } from "./rounds.ts"

/** Per second, in each round. */
export interface PipelineRates extends Readonly<Record<keyof RawTasks, readonly number[]>> {
  /** X.509-SVIDs, durable, 64 in flight, without a wire. */
  readonly x509: readonly number[]
  /** JWT-SVIDs, durable, 64 in flight, without a wire. */
  readonly jwt: readonly number[]
  /** The same with 256 in flight, so that no thread waits for the disk: what this machine can make. */
  readonly jwtMost: readonly number[]
}

/** The pipeline in this process, beside the cryptography that it cannot do without. */
export async function measurePipeline(spans: Spans): Promise<PipelineRates> {
  await using bench = await openBenchPipeline()
  const { pipeline, token } = bench
  const never = new AbortController().signal
  const digest = createHash("sha256").update(token).digest()
  const longest = Math.max(...spans.map(warmedUp).map(({ seconds, warmUp }) => seconds + warmUp))
  const keys = new ProvenKeys(Math.ceil(longest * KEYS_PER_SECOND), digest)
  const common = { token, spiffeId: undefined, requestId: "bench" }
  const x509 = (span: Span) => {
    keys.rewind()
    const ttl = LONGEST_TTL - span.round
    const issue = async () => void (await pipeline.issueX509({ ...common, ttl, key: keys.take() }, never))
    return perSecond(warmedUp(span), 64, issue)
  }
  const order = { ...common, ttl: undefined, audience: ["bench"] }
  const issueJwt = async () => void (await pipeline.issueJwt(order, never))
  const raw = makeRawTasks()
  return await inRounds(spans, {
    issueOneCore: raw.issueOneCore,
    issueAllCores: raw.issueAllCores,
    x509,
    sign: raw.sign,
    jwt: (span: Span) => perSecond(warmedUp(span), 64, issueJwt),
    jwtMost: (span: Span) => perSecond(warmedUp(span), 256, issueJwt),
  })
}

/** Another in each round, so that none is taken for a retry of the one before. */
const LONGEST_TTL: Seconds = 3600
/** More than this machine can use. */
const KEYS_PER_SECOND = 10_000
