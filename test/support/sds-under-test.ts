import { randomBytes } from "node:crypto"
import { rm } from "node:fs/promises"
import { systemClock } from "../../src/adapters/system/clock.ts"
import type { IdentitySource } from "../../src/app/deliver/identity-source.ts"
import type { Clock } from "../../src/ports/clock.ts"
import type { LogFields } from "../../src/ports/telemetry.ts"
import { listenGrpc } from "../../src/transports/grpc/listen.ts"
import { SDS_BOUNDS } from "../../src/transports/sds/sds-bounds.ts"
import type { SdsAnswer, SdsDoor } from "../../src/transports/sds/sds-events.ts"
import { makeSdsService, type SdsDeps, type SdsLimits } from "../../src/transports/sds/sds-service.ts"
import { SPIRE_WORDS } from "../../src/transports/sds/secret-names.ts"
import { quietLog } from "./quiet-log.ts"

export interface SdsOptions {
  readonly path: string
  readonly source: IdentitySource
  readonly openSource?: SdsDeps["openSource"]
  readonly limits?: Partial<SdsLimits>
  readonly clock?: Pick<Clock, "now" | "monotonic">
}

/** The SDS service over one source, on a Unix socket, and what it counted. */
export interface SdsUnderTest extends AsyncDisposable {
  readonly address: string
  readonly pushed: Record<SdsDoor, number>
  readonly answers: Record<SdsAnswer, number>
  readonly warnings: readonly LogFields[]
  /** Streams that are open. */
  readonly streams: () => number
  /** Leases that were not disposed of. */
  readonly leases: () => number
}

export async function listenSds(options: SdsOptions): Promise<SdsUnderTest> {
  const pushed = { sotw: 0, delta: 0, fetch: 0 }
  const answers = { ack: 0, nack: 0, stale: 0 }
  const warnings: LogFields[] = []
  let streams = 0
  let leases = 0
  const openOne: SdsDeps["openSource"] = async () => {
    leases += 1
    return {
      source: options.source,
      async [Symbol.asyncDispose]() {
        leases -= 1
      },
    }
  }
  const service = makeSdsService({
    openSource: options.openSource ?? openOne,
    words: SPIRE_WORDS,
    validator: "spiffe",
    limits: { ...SDS_BOUNDS, streams: 20_000, streamAge: undefined, ...options.limits },
    clock: options.clock ?? systemClock,
    random: (bytes) => randomBytes(bytes),
    log: { ...quietLog, warn: (fields) => warnings.push(fields) },
    metrics: {
      streams: (_door, change) => {
        streams += change
      },
      pushed: (door) => {
        pushed[door] += 1
      },
      answered: (_door, answer) => {
        answers[answer] += 1
      },
    },
  })
  await rm(options.path, { force: true })
  const address = `unix:${options.path}`
  const listener = await listenGrpc(address, undefined, [service], LIMITS, 1000)
  return {
    address,
    pushed,
    answers,
    warnings,
    streams: () => streams,
    leases: () => leases,
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]()
      await listener[Symbol.asyncDispose]()
    },
  }
}

const LIMITS = { messageBytes: 1 << 20, headerBytes: 16_384, streamsPerConnection: 20_000, connectionAge: undefined }
