import type { Server } from "node:http"
import { createServer } from "./node-http.ts"

/** A plain HTTP server for a unix socket, with the timeouts of the HTTPS one. @param connections at most so many at once */
export function makeLocalServer(connections: number): Server {
  const server = createServer({
    maxHeaderSize: 16 * 1024,
    headersTimeout: 10_000,
    requestTimeout: 15_000,
    keepAliveTimeout: 5000,
    connectionsCheckingInterval: 5000,
  })
  server.maxConnections = connections
  return server
}
