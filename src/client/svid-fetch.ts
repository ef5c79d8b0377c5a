import type { IncomingMessage } from "node:http"
import { request } from "node:https"
import { Readable } from "node:stream"
import { IdentityError } from "../core/errors.ts"
import type { Authorize } from "./authorize.ts"
import type { Fetch } from "./bounded-fetch.ts"
import { makeHttpsAgent } from "./connector.ts"
import type { X509Holder } from "./x509-source.ts"

/**
 * `fetch` to services that are known by their SPIFFE IDs, with the SVID of now: an Assay server among them. Bodies are text or
 * bytes; redirects are not followed, but answered. @see CLT-05 CLT-07 CLT-08
 */
export function makeSvidFetch(source: X509Holder, authorize: Authorize): Fetch {
  const agent = makeHttpsAgent(source, authorize)
  return async (url, { method = "GET", headers, body, signal }) => {
    const fields = Object.fromEntries(new Headers(headers))
    const bytes = body === undefined || body === null ? undefined : await new Response(body).bytes()
    if (bytes !== undefined) fields["content-length"] = String(bytes.length)
    const { promise, resolve, reject } = Promise.withResolvers<Response>()
    const options = {
      agent,
      method,
      headers: fields,
      signal: signal ?? undefined,
    }
    const call = request(url, options, (incoming) => {
      try {
        resolve(readResponse(incoming))
      } catch (cause) {
        incoming.destroy()
        reject(new IdentityError("not-ready", `${url} answered what is no response`, { cause }))
      }
    })
    call.on("error", reject)
    // Node hangs up on an upgrade that nobody asked for, and calls that no error.
    call.once("close", () => reject(new IdentityError("not-ready", `${url} hung up`)))
    call.end(bytes)
    return await promise
  }
}

/** @throws RangeError for a status outside 200 to 599 */
function readResponse(incoming: IncomingMessage): Response {
  const status = incoming.statusCode ?? 0
  const isEmpty = status === 204 || status === 205 || status === 304
  if (isEmpty) incoming.resume()
  const headers = new Headers()
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value)
  }
  return new Response(isEmpty ? null : Readable.toWeb(incoming), { status, headers })
}
