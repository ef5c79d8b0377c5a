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

/** grpc.health.v1.Health: the whole server (empty name) and each of `services` share one status. */
export function makeHealthService(readiness: Readiness, services: readonly string[]): GrpcService {
  const known = new Set(["", ...services])
  const statusOf = (name: string) => {
    if (!known.has(name)) return Serving.SERVICE_UNKNOWN
    return readiness.ready() ? Serving.SERVING : Serving.NOT_SERVING
  }
  const check = (call: { request: HealthCheckRequest }, reply: sendUnaryData<HealthCheckResponse>) => {
    const status = statusOf(call.request.service)
    if (status === Serving.SERVICE_UNKNOWN) reply({ code: NOT_FOUND, details: "unknown service" })
    else reply(null, { status })
  }
  const watch = (call: ServerWritableStream<HealthCheckRequest, HealthCheckResponse>) => {
    void sendChanges(call, statusOf, readiness)
  }
  return { definition: HealthService, implementation: { check, watch } }
}

async function sendChanges(
  call: ServerWritableStream<HealthCheckRequest, HealthCheckResponse>,
  statusOf: (name: string) => HealthCheckResponse["status"],
  readiness: Readiness,
): Promise<void> {
  const signal = callSignal(call)
  let sent: HealthCheckResponse["status"] | undefined
  while (!signal.aborted) {
    const changed = readiness.changed(signal)
    const status = statusOf(call.request.service)
    if (status !== sent) call.write({ status })
    sent = status
    await changed
  }
}

const NOT_FOUND = 5
