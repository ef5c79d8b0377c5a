import { EventEmitter } from "node:events"
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2"
import type { Server } from "@grpc/grpc-js"
import { DirectCall, type DirectMethod, isPlain } from "./direct-call.ts"

/**
 * Take the calls of `methods` (by path) off the HTTP/2 servers of a listener, before the library sees them. It keeps everything
 * that is of a connection: keepalive, age, drain, limits. @see IDA-28
 */
export function takeDirectCalls(server: Server, methods: ReadonlyMap<string, DirectMethod>, maxBytes: number): void {
  if (methods.size === 0) return
  for (const http2 of http2ServersOf(server)) {
    const library = http2.listeners("stream")
    http2.removeAllListeners("stream")
    http2.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, ...rest: unknown[]) => {
      const method = methods.get(headers[":path"] ?? "")
      if (method !== undefined && isPlain(headers)) new DirectCall(stream, headers, method, maxBytes)
      else for (const listener of library) Reflect.apply(listener, http2, [stream, headers, ...rest])
    })
  }
}

/** The library has no public way to them. Were they elsewhere in a next version, it would serve all calls itself. */
function http2ServersOf(server: Server): readonly Http2Server[] {
  const held: unknown = Reflect.get(server, "http2Servers")
  return held instanceof Map ? [...held.keys()].filter(isHttp2Server) : []
}

function isHttp2Server(value: unknown): value is Http2Server {
  return value instanceof EventEmitter && value.listenerCount("stream") > 0
}
