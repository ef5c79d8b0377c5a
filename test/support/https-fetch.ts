import { request } from "node:https"

/** What a client shows in a handshake: a certificate with its chain, and its key. PEM. */
export interface ClientPair {
  readonly cert: string
  readonly key: string
}

/** How {@link makeHttpsFetch} reaches a server. */
export interface HttpsFetchOptions {
  /** PEM of the roots that the server is verified by. */
  readonly ca: string
  /** Every host name leads to this port of 127.0.0.1. */
  readonly port: number
  readonly client?: ClientPair
}

/** `fetch` over verified TLS, with or without a client certificate; a new connection for each call. */
export function makeHttpsFetch({ ca, port, client }: HttpsFetchOptions): typeof fetch {
  return async (input, init) => {
    const source = new Request(input, init)
    const { hostname, pathname, search, host } = new URL(source.url)
    const body = Buffer.from(await source.arrayBuffer())
    const headers = { ...Object.fromEntries(source.headers), host, "content-length": String(body.length) }
    return new Promise<Response>((resolve, reject) => {
      const outgoing = request(
        {
          host: "127.0.0.1",
          port,
          servername: hostname,
          method: source.method,
          path: `${pathname}${search}`,
          headers,
          ca,
          agent: false,
          ...client,
        },
        (incoming) => {
          const chunks: Buffer[] = []
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
          incoming.on("end", () => {
            const pairs = Object.entries(incoming.headersDistinct).flatMap(([name, values]) =>
              (values ?? []).map((value): [string, string] => [name, value]),
            )
            const status = incoming.statusCode ?? 0
            const bodyless = status === 304 || status === 204
            resolve(new Response(bodyless ? null : Buffer.concat(chunks), { status, headers: pairs }))
          })
        },
      )
      outgoing.on("error", reject)
      outgoing.end(body)
    })
  }
}
