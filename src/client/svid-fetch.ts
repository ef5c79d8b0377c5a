import { request } from "node:https"
import { Readable } from "node:stream"
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
      const status = incoming.statusCode ?? 0
      const isEmpty = status === 204 || status === 205 || status === 304
      if (isEmpty) incoming.resume()
      const received = new Headers()
      for (const [name, values] of Object.entries(incoming.headersDistinct)) {
        for (const value of values ?? []) received.append(name, value)
      }
      resolve(new Response(isEmpty ? null : Readable.toWeb(incoming), { status, headers: received }))
    })
    call.once("error", reject)
    call.end(bytes)
    return await promise
  }
}
