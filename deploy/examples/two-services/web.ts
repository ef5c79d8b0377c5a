// The service `web`: asks `orders` every second, with an access token that it gets for its own identity.
import { setTimeout as delay } from "node:timers/promises"
import { authorizeId, makeSvidFetch, makeTokenSource, openJwtSource, openX509Source } from "assay/client"

const { ISSUER = "https://assay.prod.example:8444", ORDERS = "https://orders.prod.example:9443" } = process.env
const stop = new AbortController()
process.once("SIGTERM", () => stop.abort())

await using source = await openX509Source() // SPIFFE_ENDPOINT_SOCKET
await using jwtSource = await openJwtSource()
using tokens = makeTokenSource({
  issuer: ISSUER,
  audience: "https://orders.prod.example",
  scope: ["orders.read"],
  jwtSource,
  fetch: makeSvidFetch(source, authorizeId("spiffe://prod.example/assay/server")),
})
const orders = makeSvidFetch(source, authorizeId("spiffe://prod.example/ns/shop/sa/orders"))

while (!stop.signal.aborted) {
  try {
    const { token } = await tokens.token()
    const response = await orders(`${ORDERS}/orders`, { headers: { authorization: `Bearer ${token}` } })
    console.log(response.status, await response.text())
  } catch (error) {
    console.error(`failed: ${error instanceof Error ? error.message : String(error)}`)
  }
  await delay(1000, undefined, { signal: stop.signal }).catch(() => undefined)
}
