// The service `orders`: answers over mutual TLS to the service `web` alone, and only with an access token for it.
import { once } from "node:events"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:https"
import {
  authorizeId,
  challengeOf,
  makeAccessTokenVerifier,
  makeSvidFetch,
  makeTlsServer,
  openX509Source,
  peerOf,
} from "assay/client"

const { ISSUER = "https://assay.prod.example:8444", PORT = "9443" } = process.env

await using source = await openX509Source() // SPIFFE_ENDPOINT_SOCKET
const assay = makeSvidFetch(source, authorizeId("spiffe://prod.example/assay/server"))
const audience = "https://orders.prod.example"
const verifyAccessToken = makeAccessTokenVerifier({ issuer: ISSUER, audience, fetch: assay })

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, token = ""] = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "") ?? []
  try {
    const { subject, scopes } = await verifyAccessToken(token)
    const { spiffeId, serial } = peerOf(request.socket) ?? {}
    response.end(JSON.stringify({ caller: spiffeId, serial, subject, scopes, orders: ["apples", "pears"] }))
  } catch (error) {
    const { status, header } = challengeOf(error)
    response.writeHead(status, header === undefined ? {} : { "www-authenticate": header }).end()
  }
}

const web = authorizeId("spiffe://prod.example/ns/shop/sa/web")
const server = makeTlsServer(source, web, (tls) =>
  createServer(tls, (request, response) => void answer(request, response)),
)
server.on("tlsClientError", (error) => console.error(`hung up: ${error.message}`))
server.listen(Number(PORT))
await once(server, "listening")
console.log(`orders listens: ${JSON.stringify(server.address())}`)
await once(process, "SIGTERM")
server.close()
server.closeAllConnections()
