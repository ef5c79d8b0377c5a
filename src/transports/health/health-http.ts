import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { IdentityError } from "../../core/errors.ts"
import { createServer } from "../http/node-http.ts"

export interface HealthHttpDeps {
  /** The process can do its work. */
  readonly ready: () => boolean
  /** Prometheus text format. */
  readonly metrics: () => Promise<string>
}

export interface HttpListener extends AsyncDisposable {
  readonly port: number
}

/**
 * `GET /live` (200 while the process runs), `/ready` (200 or 503) and `/metrics`, without authentication: bind it to loopback
 * or to where only probes and scrapers reach it. @throws IdentityError `not-ready` when it cannot bind
 */
export async function listenHealth(host: string, port: number, deps: HealthHttpDeps): Promise<HttpListener> {
  const server = createServer(
    { maxHeaderSize: 8192, requestTimeout: 5000, headersTimeout: 5000, connectionsCheckingInterval: 1000 },
    (request, response) => {
      answer(request, response, deps).catch(() => response.destroy())
    },
  )
  server.maxConnections = 64
  const bound = await listen(server, host, port)
  return {
    port: bound,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, deps: HealthHttpDeps): Promise<void> {
  request.resume()
  const send = (status: number, body: string, type = "text/plain; charset=utf-8") => {
    response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body)
  }
  if (request.method !== "GET" && request.method !== "HEAD") return send(405, "method not allowed\n")
  switch (request.url ?? "") {
    case "/live":
      return send(200, "ok\n")
    case "/ready":
      return deps.ready() ? send(200, "ok\n") : send(503, "not ready\n")
    case "/metrics":
      return send(200, await deps.metrics(), "text/plain; version=0.0.4; charset=utf-8")
    default:
      return send(404, "not found: try /live, /ready or /metrics\n")
  }
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new IdentityError("not-ready", `cannot listen on ${host}:${port}: ${cause.message}`, {
          cause,
          reason: "address-unusable",
        }),
      )
    })
    server.listen(port, host, () => {
      const address = server.address() as AddressInfo // a TCP server that listens has one
      resolve(address.port)
    })
  })
}
