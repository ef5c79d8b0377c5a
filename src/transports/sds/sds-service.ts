import type { ServerDuplexStream, ServerUnaryCall, UntypedServiceImplementation } from "@grpc/grpc-js"
import type { IdentitySource } from "../../app/deliver/identity-source.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "../../gen/envoy/service/discovery/v3/discovery.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Random } from "../../ports/random.ts"
import type { Log } from "../../ports/telemetry.ts"
import { DeltaSession } from "./delta-session.ts"
import { encodeDeltaResponse, encodeDiscoveryResponse, SDS_DEFINITION } from "./discovery-wire.ts"
import { makeFetchSecrets } from "./fetch-secrets.ts"
import { makeSdsEvents, type SdsMetrics } from "./sds-events.ts"
import { makeSecretEncoder, type ValidatorMode } from "./secret-encoder.ts"
import type { SecretWords } from "./secret-names.ts"
import { SotwSession } from "./sotw-session.ts"
import { StreamTable } from "./stream-table.ts"

/** What is known of a caller when it opens a stream. */
export type SdsCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getPeer" | "getAuthContext">

/** The identities of one caller, for as long as its stream lives. */
export interface Lease extends AsyncDisposable {
  readonly source: IdentitySource
  /** The stream ends by then: nothing re-attests a running stream. */
  readonly notAfter?: Instant
  /** The stream ends at once when it aborts, with the reason as its error. */
  readonly evicted?: AbortSignal
}

/** Written bounds of the service. */
export interface SdsLimits {
  /** Streams that are open at a time. */
  readonly streams: number
  /** Names that one stream may ask for. */
  readonly names: number
  /** A stream ends after 0.9 to 1 of what this is when it begins; `undefined`: it may stay. Envoy comes back by itself. */
  readonly streamAge: Seconds | undefined
  /** Newer secrets follow without the answer to earlier ones after this. */
  readonly answerWithin: Seconds
}

export interface SdsDeps {
  /** Attest the caller. @throws IdentityError, which the caller sees */
  readonly openSource: (call: SdsCall, signal: AbortSignal) => Promise<Lease>
  readonly words: SecretWords
  /** For proxies that do not ask for plain contexts themselves by node metadata. */
  readonly validator: ValidatorMode
  readonly limits: SdsLimits
  readonly clock: Pick<Clock, "now" | "monotonic">
  readonly random: Random
  readonly log: Log
  readonly metrics: SdsMetrics
}

/** A gRPC service to listen with. Disposing ends its streams cleanly and waits for their leases. */
export interface SdsService extends AsyncDisposable {
  readonly definition: typeof SDS_DEFINITION
  readonly implementation: UntypedServiceImplementation
}

/** Envoy's secret discovery over any source of identities. @see SDS-01..SDS-20 */
export function makeSdsService(deps: SdsDeps): SdsService {
  const events = makeSdsEvents(deps.log, deps.metrics)
  const encoder = makeSecretEncoder(deps.words)
  const streams = new StreamTable({ ...deps, encoder, events })
  return {
    definition: SDS_DEFINITION,
    implementation: {
      streamSecrets: (call: ServerDuplexStream<DiscoveryRequest, Buffer>) =>
        streams.open(call, {
          door: "sotw",
          session: () => new SotwSession(deps.limits),
          names: (request: DiscoveryRequest) => request.resourceNames,
          encode: encodeDiscoveryResponse,
        }),
      deltaSecrets: (call: ServerDuplexStream<DeltaDiscoveryRequest, Buffer>) =>
        streams.open(call, {
          door: "delta",
          session: () => new DeltaSession(deps.limits),
          names: (request: DeltaDiscoveryRequest) => request.resourceNamesSubscribe,
          encode: encodeDeltaResponse,
        }),
      fetchSecrets: makeFetchSecrets({ ...deps, encoder, events }),
    },
    [Symbol.asyncDispose]: () => streams[Symbol.asyncDispose](),
  }
}
