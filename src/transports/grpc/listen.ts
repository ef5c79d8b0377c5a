import {
  Server,
  ServerCredentials,
  type ServerOptions,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js"
import { IdentityError } from "../../core/errors.ts"
import type { Millis, Seconds } from "../../core/time.ts"
import type { DirectMethod } from "./direct-call.ts"
import { takeDirectCalls } from "./direct-calls.ts"
import type { HandleUnary } from "./unary-call.ts"

/** A service and what answers it. */
export interface GrpcService {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
  /** Names of unary methods that are called often, whose handlers use nothing but a `UnaryCall`: they are served at less cost. */
  readonly direct?: readonly string[]
}

/** Written bounds of a gRPC listener. Headers are bounded by its credentials, on a unix socket to Node's 64 KiB. */
export interface GrpcLimits {
  /** Largest message that is accepted, bytes. */
  readonly messageBytes: number
  readonly streamsPerConnection: number
  /** A connection is closed gracefully after about this time, so that balancers and certificates take effect. */
  readonly connectionAge: Seconds | undefined
}

export interface GrpcListener extends AsyncDisposable {
  /** The port that was bound; 0 for a unix socket. */
  readonly port: number
}

/**
 * Serve `services` on `address` (`host:port`, port 0 for a free one, or `unix:/absolute/path`). Disposing drains: no new
 * calls, running ones get `drain` to end, then connections are cut. @throws IdentityError `not-ready` when it cannot bind
 */
export async function listenGrpc(
  address: string,
  credentials: ServerCredentials | undefined,
  services: readonly GrpcService[],
  limits: GrpcLimits,
  drain: Millis,
): Promise<GrpcListener> {
  const server = new Server(options(limits))
  for (const { definition, implementation } of services) server.addService(definition, implementation)
  const port = await bind(server, address, credentials ?? ServerCredentials.createInsecure())
  takeDirectCalls(server, directMethods(services), limits.messageBytes)
  const bound = address.replace(/:0$/, `:${port}`)
  return { port, [Symbol.asyncDispose]: () => shutDown(server, bound, drain) }
}

function directMethods(services: readonly GrpcService[]): ReadonlyMap<string, DirectMethod> {
  const methods = new Map<string, DirectMethod>()
  for (const { definition, implementation, direct = [] } of services) {
    for (const name of direct) {
      const method = definition[name]
      const handle = implementation[name] as HandleUnary<unknown, unknown> | undefined // as `direct` says
      if (method !== undefined && handle !== undefined) methods.set(method.path, { definition: method, handle })
    }
  }
  return methods
}

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (cause, port) => {
      if (cause === null) resolve(address.startsWith("unix:") ? 0 : port)
      else
        reject(
          new IdentityError("not-ready", `cannot listen on ${address}: ${cause.message}`, {
            cause,
            reason: "address-unusable",
          }),
        )
    })
  })
}

function shutDown(server: Server, address: string, drain: Millis): Promise<void> {
  // Not forceShutdown: without channelz, grpc-js 1.14 leaves its sessions alone.
  server.drain(address, drain)
  return new Promise((resolve) => server.tryShutdown(() => resolve()))
}

function options(limits: GrpcLimits): ServerOptions {
  const age = limits.connectionAge
  return {
    "grpc.max_receive_message_length": limits.messageBytes,
    "grpc.max_concurrent_streams": limits.streamsPerConnection,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.enable_channelz": 0,
    ...(age === undefined
      ? {}
      : { "grpc.max_connection_age_ms": age * 1000, "grpc.max_connection_age_grace_ms": CONNECTION_GRACE }),
  }
}

const CONNECTION_GRACE: Millis = 30_000
