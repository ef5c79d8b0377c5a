import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { LocalCluster } from "./local-cluster.ts"

/** A {@link LocalCluster} on a loopback port: `/openid/v1/jwks` and TokenReview, over plain HTTP. */
export interface LocalClusterServer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
}

/** @param port 0 for a free one */
export async function listenLocalCluster(cluster: LocalCluster, port: number): Promise<LocalClusterServer> {
  const server = createServer((request, response) => {
    answer(cluster, request, response).catch(() => response.writeHead(400).end())
  })
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new TypeError("not a TCP listener")
  return {
    url: `http://127.0.0.1:${address.port}`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, "close")
    },
  }
}

async function answer(cluster: LocalCluster, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === "GET" && request.url === "/openid/v1/jwks") {
    response.writeHead(200, { "content-type": "application/jwk-set+json" }).end(cluster.jwks())
    return
  }
  if (request.method === "POST" && request.url === "/apis/authentication.k8s.io/v1/tokenreviews") {
    const order: ReviewOrder = JSON.parse(await readText(request))
    const review = cluster.review(order.spec.token, order.spec.audiences)
    response.writeHead(201, { "content-type": "application/json" }).end(JSON.stringify(review))
    return
  }
  response.writeHead(404).end()
}

interface ReviewOrder {
  readonly spec: { readonly token: string; readonly audiences: readonly string[] }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > MAX_BODY) throw new RangeError("body is too long")
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString("utf8")
}

const MAX_BODY = 64 * 1024
