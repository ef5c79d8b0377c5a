import { request } from "node:http"
import { text } from "node:stream/consumers"

export interface RawOrder {
  readonly method?: string
  /** With `/admin/v1`. */
  readonly path: string
  /** Default: what every request needs. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

export interface RawAnswer {
  readonly status: number
  readonly type: string | undefined
  readonly body: Readonly<Record<string, unknown>>
}

/** Ask a socket. @throws Error of the connection */
export async function askRaw(
  socketPath: string,
  { method = "GET", path, headers, body }: RawOrder,
): Promise<RawAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<RawAnswer>()
  const outgoing = request({ socketPath, method, path, headers: { ...(headers ?? ADMIN_HEADERS) }, agent: false })
  outgoing.on("response", (incoming) => {
    text(incoming)
      .then((found) => {
        const parsed: unknown = found === "" ? {} : JSON.parse(found)
        resolve({
          status: incoming.statusCode ?? 0,
          type: incoming.headers["content-type"],
          body: { ...Object(parsed) },
        })
      })
      .catch(reject)
  })
  outgoing.on("error", reject)
  outgoing.end(body)
  return promise
}

export const ADMIN_HEADERS = { "assay-admin": "1" }
export const JSON_HEADERS = { ...ADMIN_HEADERS, "content-type": "application/json" }
