import type { ServerWritableStream, sendUnaryData } from "@grpc/grpc-js"
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthService,
  HealthCheckResponse_ServingStatus as Serving,
} from "../../gen/grpc/health/v1/health.ts"
import type { GrpcService } from "./listen.ts"
import { callSignal } from "./signal.ts"

/** Whether the process can do its work, and when that changes. */
export interface Readiness {
  ready(): boolean
  /** Resolves at the next change or when `signal` aborts. Never rejects. */
  changed(signal: AbortSignal): Promise<void>
}

/**
 * grpc.health.v1.Health: the whole server (empty name) and each of `services` share one status.
 * @param closing aborts when the server goes away: watchers are told and their streams end
 */
export function makeHealthService(
  readiness: Readiness,
  services: readonly string[],
  closing: AbortSignal,
): GrpcService {
  const known = new Set(["", ...services])
  const statusOf = (name: string) => {
    if (!known.has(name)) return Serving.SERVICE_UNKNOWN
    return readiness.ready() && !closing.aborted ? Serving.SERVING : Serving.NOT_SERVING
  }
  const check = (call: { request: HealthCheckRequest }, reply: sendUnaryData<HealthCheckResponse>) => {
    const status = statusOf(call.request.service)
    if (status === Serving.SERVICE_UNKNOWN) reply({ code: NOT_FOUND, details: "unknown service" })
    else reply(null, { status })
  }
  const watch = (call: ServerWritableStream<HealthCheckRequest, HealthCheckResponse>) => {
    void sendChanges(call, statusOf, readiness, closing)
  }
  return { definition: HealthService, implementation: { check, watch } }
}

async function sendChanges(
  call: ServerWritableStream<HealthCheckRequest, HealthCheckResponse>,
  statusOf: (name: string) => HealthCheckResponse["status"],
  readiness: Readiness,
  closing: AbortSignal,
): Promise<void> {
  const cancelled = callSignal(call)
  const signal = AbortSignal.any([cancelled, closing])
  let sent: HealthCheckResponse["status"] | undefined
  const tell = () => {
    const status = statusOf(call.request.service)
    if (status !== sent) call.write({ status })
    sent = status
  }
  while (!signal.aborted) {
    const changed = readiness.changed(signal)
    tell()
    await changed
  }
  if (cancelled.aborted) return
  tell()
  call.end()
}

const NOT_FOUND = 5
