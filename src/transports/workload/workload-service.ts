import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js"
import { begun } from "../../app/deliver/begun.ts"
import type { IdentitySource } from "../../app/deliver/identity-source.ts"
import { limitLife } from "../../app/deliver/limit-life.ts"
import type { ValidateJwtSvid } from "../../app/deliver/validate-jwt-svid.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import {
  JWTBundlesResponse,
  type SpiffeWorkloadAPIServer,
  X509BundlesResponse,
  X509SVIDResponse,
} from "../../gen/spiffe/workload.ts"
import type { Log } from "../../ports/telemetry.ts"
import { callSignal } from "../grpc/signal.ts"
import { toStatus } from "../grpc/status.ts"
import { readyView, requireSecurityHeader, WORKLOAD_STATUS, type WorkloadCaller } from "./call-terms.ts"
import { type StreamShape, streamChanges } from "./change-stream.ts"
import { encodeJwtBundles, encodeJwtSvids, encodeValidated } from "./jwt-responses.ts"
import { parseJwtSvidRequest, parseValidateRequest } from "./requests.ts"
import { visibleBundles } from "./visible-bundles.ts"
import { encodeX509Bundles, encodeX509Svids } from "./x509-responses.ts"

export interface WorkloadServiceDeps {
  /** Whose identities this caller gets. Throws IdentityError for a caller it does not know. */
  readonly sourceFor: (caller: WorkloadCaller) => IdentitySource
  readonly validateJwtSvid: ValidateJwtSvid
  readonly log: Log
  readonly limits: WorkloadLimits
  /** Aborts when the agent goes away: open streams end with Unavailable, on which clients come back. */
  readonly closing: AbortSignal
}

export interface WorkloadLimits {
  /** Open streams over all callers; one more is told to come back. */
  readonly streams: number
  /** Longest that a unary call may take when its caller sets no deadline. */
  readonly unary: Millis
}

/** The SPIFFE Workload API, X.509 and JWT profiles. @see WE-04..WE-11 WA-01..WA-15 */
export function makeWorkloadService(deps: WorkloadServiceDeps): SpiffeWorkloadAPIServer {
  const streams = { open: 0, total: 0 }
  const stream =
    <Message>(shape: StreamShape<Message>) =>
    (call: ServerWritableStream<unknown, Message>) =>
      void serveStream(deps, streams, shape, call)
  return {
    fetchX509Svid: stream({ render: encodeX509Svids, encode: (message) => X509SVIDResponse.encode(message).finish() }),
    fetchX509Bundles: stream({
      render: encodeX509Bundles,
      encode: (message) => X509BundlesResponse.encode(message).finish(),
    }),
    fetchJwtBundles: stream({
      render: encodeJwtBundles,
      encode: (message) => JWTBundlesResponse.encode(message).finish(),
    }),
    fetchJwtsvid: (call, reply) =>
      void serveUnary(deps, call, reply, async (source, signal) => {
        const { audience, spiffeId } = parseJwtSvidRequest(call.request)
        readyView(source)
        return encodeJwtSvids(await source.fetchJwt(audience, spiffeId, signal))
      }),
    validateJwtsvid: (call, reply) =>
      void serveUnary(deps, call, reply, async (source) => {
        const { audience, token } = parseValidateRequest(call.request)
        const bundles = visibleBundles(readyView(source))
        return encodeValidated(await deps.validateJwtSvid(token, audience, bundles))
      }),
    fetchWitsvid: (call) => refuseWit(deps, call),
    fetchWitBundles: (call) => refuseWit(deps, call),
  }
}

async function serveUnary<Request, Reply>(
  deps: WorkloadServiceDeps,
  call: ServerUnaryCall<Request, Reply>,
  reply: sendUnaryData<Reply>,
  answer: (source: IdentitySource, signal: AbortSignal) => Promise<Reply>,
): Promise<void> {
  try {
    requireSecurityHeader(call.metadata)
    using life = limitLife(deps.limits.unary)
    const signal = AbortSignal.any([callSignal(call), life.signal])
    const source = deps.sourceFor(call)
    await begun(source, signal)
    reply(null, await answer(source, signal))
  } catch (thrown) {
    reply(statusOf(thrown, call, deps.log))
  }
}

async function serveStream<Message>(
  deps: WorkloadServiceDeps,
  streams: { open: number; total: number },
  shape: StreamShape<Message>,
  call: ServerWritableStream<unknown, Message>,
): Promise<void> {
  const cancelled = callSignal(call)
  streams.open++
  const consumer = `workload-api/${++streams.total}`
  try {
    requireSecurityHeader(call.metadata)
    if (streams.open > deps.limits.streams) throw new IdentityError("rate-limited", "too many open streams")
    const source = deps.sourceFor(call)
    const signal = AbortSignal.any([cancelled, deps.closing])
    const observed = (epoch: number): void =>
      source.observed(consumer, { name: consumer, kind: "workload-api", epoch, nackReason: undefined })
    observed(0)
    try {
      await begun(source, signal)
      await streamChanges(call, source, shape, signal, observed)
    } finally {
      source.observed(consumer, undefined)
    }
    if (!cancelled.aborted) throw new IdentityError("not-ready", "the agent stops")
  } catch (thrown) {
    call.emit("error", statusOf(thrown, call, deps.log))
  } finally {
    streams.open--
  }
}

/** The WIT profile is not offered; the security header comes first all the same. @see WA-02 WE-04 */
function refuseWit({ log }: WorkloadServiceDeps, call: ServerWritableStream<unknown, never>): void {
  try {
    requireSecurityHeader(call.metadata)
    throw new IdentityError("unsupported", "the WIT profile is not supported")
  } catch (thrown) {
    call.emit("error", statusOf(thrown, call, log))
  }
}

function statusOf(thrown: unknown, call: { getPath(): string }, log: Log): ReturnType<typeof toStatus> {
  const status = toStatus(thrown, WORKLOAD_STATUS)
  const fields = { path: call.getPath(), status: status.code, err: thrown }
  if (status.code === INTERNAL) log.error(fields, "workload call failed")
  else log.debug(fields, "workload call refused")
  return status
}

const INTERNAL = 13
